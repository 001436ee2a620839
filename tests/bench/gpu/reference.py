#!/usr/bin/env python3
"""The same networks in PyTorch, as fast as it makes them: torch.compile, CUDA
graphs, TF32, fused AdamW, LAMB by multi-tensor ops. Prints a JSON object a line,
each figure as soon as it is known, with the keys of bench_gpu, and training
rates: first not compiled (eager_...), which takes seconds, then compiled, which
may take minutes the first time. What fails is told on stderr, and the next figure
is tried. Outputs are checked against nothing: what counts here is the time.

usage: reference.py DEVICE VAE.safetensors DIFFUSION.safetensors LATENCIES MANY BATCH_VAE
       BATCH_DIFFUSION
DEVICE: cuda; on cpu (to try the program) nothing is compiled or put in a graph.
Exit code 4: no PyTorch; 1: some figure failed.
"""
import json
import math
import struct
import sys
import time
import traceback

try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    print(f"reference.py: {error}", file=sys.stderr)
    sys.exit(4)

NOTES = 8
PITCHES = 128
CHANNELS = 3
SEQUENCE = 32
CHUNK_MAX = 2048  # windows of a pass, as ours
device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cuda")
torch.set_float32_matmul_precision("high")  # TF32, as ours
torch.backends.cuda.matmul.allow_tf32 = True


def read_weights(path):
    """A safetensors file, without its library."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = bytearray(file.read())
    weights = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            begin, _ = tensor["data_offsets"]
            weights[name] = torch.frombuffer(
                data, dtype=torch.float32, offset=begin, count=math.prod(tensor["shape"])
            ).view(tensor["shape"]).to(device)
    return weights


# --- The VAE -----------------------------------------------------------------


def overwrite_gates(w, z):
    pre = F.linear(z, w["decoder.overwrite.weight"], w["decoder.overwrite.bias"][0])
    forget, enter, candidate = pre.chunk(3, dim=1)
    return torch.sigmoid(forget), torch.sigmoid(enter) * torch.tanh(candidate)


def cell(gates, c):
    i, f, g, o = gates.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def decoder_begin(w, z):
    keep, add = overwrite_gates(w, z)
    h, c = torch.tanh(
        F.linear(z, w["decoder.state.weight"], w["decoder.state.bias"][0])
    ).chunk(2, dim=1)
    latent = F.linear(z, w["decoder.latent.weight"], w["decoder.latent.bias"][0])
    return keep, add, h, c, latent.chunk(NOTES, dim=1)


def decoder_step(w, state, keep, add, latent, pitch, channels):
    h, c = state
    fed = torch.cat([F.embedding(pitch, w["pitch_embedding"]), channels], dim=1)
    gates = latent + F.linear(fed, w["decoder.input"]) + F.linear(h, w["decoder.recurrent"])
    h, c = cell(gates, c)
    bias = w["decoder.head.bias"][0]
    logits = F.linear(h, w["decoder.pitch.weight"], bias[:PITCHES])
    values = F.linear(h, w["decoder.channels.weight"], bias[PITCHES:])
    state = (torch.cat([h, c], dim=1) * keep + add).chunk(2, dim=1)
    return state, logits, values


def decode(w, z, uniforms):
    """Free running: uniforms[NOTES, B, 1] choose the pitches."""
    keep, add, h, c, latents = decoder_begin(w, z)
    state = (h, c)
    pitch = torch.zeros(z.shape[0], dtype=torch.long, device=z.device)
    channels = torch.zeros(z.shape[0], CHANNELS, device=z.device)
    pitches, values = [], []
    for t in range(NOTES):
        state, logits, channels = decoder_step(w, state, keep, add, latents[t], pitch, channels)
        total = torch.softmax(logits, dim=1).cumsum(dim=1)
        pitch = (total < uniforms[t]).sum(dim=1).clamp(max=PITCHES - 1)
        pitches.append(pitch)
        values.append(channels)
    return torch.stack(pitches), torch.stack(values)


def encode(w, pitch, channels):
    """pitch[NOTES, B], channels[NOTES, B, 3] to mean and log variance."""
    x = torch.cat([F.embedding(pitch, w["pitch_embedding"]), channels], dim=2)
    hidden = []
    for name, order in (("forward", range(NOTES)), ("backward", reversed(range(NOTES)))):
        inputs = F.linear(x, w[f"encoder.{name}.input"], w[f"encoder.{name}.bias"][0])
        width = w[f"encoder.{name}.recurrent"].shape[1]
        h = x.new_zeros(x.shape[1], width)
        c = h
        states = [None] * NOTES
        for t in order:
            h, c = cell(inputs[t] + F.linear(h, w[f"encoder.{name}.recurrent"]), c)
            states[t] = h
        hidden.append(torch.stack(states))
    both = torch.cat(hidden, dim=2)
    blocks = w["encoder.latent.weight"].view(NOTES, -1, both.shape[2])
    stats = w["encoder.latent.bias"] + torch.einsum("tbh,tzh->bz", both, blocks)
    return stats.chunk(2, dim=1)


def vae_loss(w, pitch, channels, force, noise, uniforms):
    mean, log_variance = encode(w, pitch, channels)
    z = mean + torch.exp(0.5 * log_variance) * noise
    keep, add, h, c, latents = decoder_begin(w, z)
    state = (h, c)
    fed_pitch = torch.zeros_like(pitch[0])
    fed = torch.zeros_like(channels[0])
    loss = 0.0
    for t in range(NOTES):
        state, logits, values = decoder_step(w, state, keep, add, latents[t], fed_pitch, fed)
        loss = loss + F.cross_entropy(logits, pitch[t]) + 6.0 * F.mse_loss(values, channels[t])
        if t + 1 < NOTES:
            total = torch.softmax(logits.detach(), dim=1).cumsum(dim=1)
            chosen = (total < uniforms[t]).sum(dim=1).clamp(max=PITCHES - 1)
            fed_pitch = torch.where(force[t], pitch[t], chosen)
            fed = torch.where(force[t][:, None], channels[t], values.detach())
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
    return loss + 0.7 * kl


# --- The denoiser ------------------------------------------------------------


class Denoiser:
    """The transformer of models/denoiser_transformer_passes.c."""

    def __init__(self, w):
        self.w = w
        self.width = w["token.weight"].shape[0]
        self.heads = 5
        self.layers = sum(name.endswith("attention.qkv.weight") for name in w)
        half = self.width // self.heads // 2
        share = torch.arange(half, device=device) / max(half - 1, 1)
        angle = torch.arange(SEQUENCE, device=device)[:, None] * 1.57 * (1 / 16) ** share
        self.cos, self.sin = angle.cos(), angle.sin()

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"][0])

    def rotate(self, x, notes):  # [S, L, H, D/H]
        a, b = x.chunk(2, dim=3)
        cos, sin = self.cos[:notes, None], self.sin[:notes, None]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=3)

    def norm(self, x, shift, scale):
        return F.layer_norm(x, (self.width,), eps=1e-5) * (1 + scale) + shift

    def __call__(self, tokens, features):  # [S, L, input], [S, 1, 64] or [1, 1, 64]
        s, notes, _ = tokens.shape
        x = self.linear(tokens, "token") + self.w["position"][:notes]
        time = F.gelu(self.linear(features, "time"), approximate="tanh")
        for layer in range(self.layers):
            name = f"layer{layer}."
            m = self.linear(time, name + "modulation").chunk(6, dim=2)
            q, k, v = (
                self.linear(self.norm(x, m[0], m[1]), name + "attention.qkv")
                .view(s, notes, 3, self.heads, -1)
                .unbind(dim=2)
            )
            q, k = self.rotate(q, notes), self.rotate(k, notes)
            mixed = F.scaled_dot_product_attention(
                q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            )
            mixed = mixed.transpose(1, 2).reshape(s, notes, self.width)
            x = x + m[2] * self.linear(mixed, name + "attention.out")
            up = self.linear(self.norm(x, m[3], m[4]), name + "mlp.up")
            x = x + m[5] * self.linear(F.gelu(up, approximate="tanh"), name + "mlp.down")
        shift, scale = self.linear(time, "final").chunk(2, dim=2)
        return self.linear(self.norm(x, shift, scale), "head")


def ddim(net, codes, x, times, alphas, sigmas):
    """x[S, L, C] at the first time, in len(times) - 1 steps of eta 0."""
    told = torch.zeros_like(x)
    flag = torch.zeros_like(x[..., :1])
    for i in range(len(alphas) - 1):
        # One level of noise for all, met by one row, as ours.
        head = net(torch.cat([x, told, flag], dim=2), times[i : i + 1])
        probabilities = torch.softmax(head[..., :PITCHES], dim=2)
        x0 = torch.cat([probabilities @ codes, head[..., PITCHES:]], dim=2).clamp(-6, 6)
        noise = (x - alphas[i] * x0) / sigmas[i]
        x = alphas[i + 1] * x0 + sigmas[i + 1] * noise
        told = x0
    return probabilities.argmax(dim=2), x[..., -CHANNELS:]


def cosine(steps):
    t = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    alpha_bar = torch.cos((t + 0.008) / 1.008 * torch.pi / 2).square().clamp(1e-5, 1)
    return alpha_bar.sqrt().tolist(), (1 - alpha_bar).clamp(min=1e-9).sqrt().tolist()


# --- Training ----------------------------------------------------------------


class Lamb:
    """Ours (kernels/cpu/ops_optimiser.c), by multi-tensor ops on the device."""

    def __init__(self, weights):
        self.weights = weights
        self.moment1 = [torch.zeros_like(w) for w in weights]
        self.moment2 = [torch.zeros_like(w) for w in weights]
        self.decayed = [i for i, w in enumerate(weights) if w.shape[0] > 1]
        self.count = torch.zeros((), device=device)

    @torch.no_grad()
    def step(self):
        gradients = [w.grad for w in self.weights]
        self.count += 1
        torch._foreach_mul_(self.moment1, 0.9)
        torch._foreach_add_(self.moment1, gradients, alpha=0.1)
        torch._foreach_mul_(self.moment2, 0.999)
        torch._foreach_addcmul_(self.moment2, gradients, gradients, 0.001)
        correction = 1 - 0.9**self.count
        scale = (1 - 0.999**self.count).sqrt()
        below = torch._foreach_sqrt(self.moment2)
        torch._foreach_add_(below, 1e-6)
        updates = torch._foreach_div(self.moment1, below)
        torch._foreach_mul_(updates, [scale / correction] * len(updates))
        torch._foreach_add_(
            [updates[i] for i in self.decayed],
            [self.weights[i].detach() for i in self.decayed],
            alpha=1e-4,
        )
        own, change = torch._foreach_norm(self.weights), torch._foreach_norm(updates)
        trust = [
            torch.where((a > 0) & (b > 0), a / b, torch.ones_like(a)) for a, b in zip(own, change)
        ]
        torch._foreach_mul_(updates, trust)
        torch._foreach_add_(self.weights, updates, alpha=-1e-4)


def adamw(weights):
    fast = {"fused": True, "capturable": True} if device.type == "cuda" else {}
    return torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.01, **fast)


@torch.no_grad()
def follow(average, weights):
    """The moving average of the weights, decay 0.9995."""
    torch._foreach_mul_(average, 0.9995)
    torch._foreach_add_(average, [w.detach() for w in weights], alpha=0.0005)


class Notes:
    """Music that lies on the device, as many notes as ours has; drawn anew at each
    step, transposed, faster or slower, louder or softer."""

    def __init__(self, count=2_286_933):
        self.pitch = torch.randint(26, 104, (count,), device=device)
        self.channels = torch.randn(count, CHANNELS, device=device)

    def draw(self, units, notes):
        """pitch[units, notes], channels[units, notes, 3]"""
        first = torch.randint(len(self.pitch) - notes, (units, 1), device=device)
        at = first + torch.arange(notes, device=device)
        shift = torch.randint(-5, 6, (units, 1), device=device)
        scale = 0.9 + 0.2 * torch.rand(units, 1, CHANNELS, device=device)
        return self.pitch[at] + shift, self.channels[at] * scale


# --- Time --------------------------------------------------------------------


def say(key, value):
    print(json.dumps({key: value}), flush=True)


def settle():
    if device.type == "cuda":
        torch.cuda.synchronize()


def captured(function):
    """A CUDA graph of function(), which returns its outputs."""
    if device.type != "cuda":
        return function
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = function()

    def replay():
        graph.replay()
        return outputs

    return replay


def to_host(outputs):
    return [o.cpu() for o in outputs]


def latency(key, function, windows):
    run = captured(function)
    for _ in range(20):
        to_host(run())
    seconds = []
    for _ in range(windows):
        start = time.perf_counter()
        to_host(run())
        seconds.append(time.perf_counter() - start)
    seconds.sort()
    say(f"{key}_p50_ms", 1e3 * seconds[windows // 2])
    say(f"{key}_p99_ms", 1e3 * seconds[windows * 99 // 100])


def chunk_of(windows):
    """Passes of one size, so that just so many windows are made."""
    return math.ceil(windows / math.ceil(windows / CHUNK_MAX))


def many(key, function, passes):
    run = captured(function)
    to_host(run())
    settle()
    start = time.perf_counter()
    for _ in range(passes):
        to_host(run())
    say(f"{key}_ms", 1e3 * (time.perf_counter() - start))


def training_rate(key, loss_of, weights, optimiser, units, steps=60):
    """Units a second of forward, backward, clipping, the optimiser and the average."""
    average = [w.detach().clone() for w in weights]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)

    def step():
        torch._foreach_zero_([w.grad for w in weights])
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        follow(average, weights)
        return (loss.detach(),)

    run = captured(step)
    for _ in range(5):
        run()
    settle()
    start = time.perf_counter()
    for _ in range(steps):
        run()
    settle()
    say(key, units * steps / (time.perf_counter() - start))


def trainable(w):
    made = {
        name: tensor.clone().requires_grad_(True)
        for name, tensor in w.items()
        if not name.startswith("latent.")
    }
    return made, list(made.values())


# --- The figures: `make` compiles a function, or leaves it -------------------


def vae_one(prefix, make, w, windows):
    z = torch.randn(1, w["decoder.state.weight"].shape[1], device=device)
    draw = make(decode)
    with torch.no_grad():
        latency(
            prefix + "vae_1", lambda: draw(w, z, torch.rand(NOTES, 1, 1, device=device)), windows
        )


def vae_many(prefix, make, w, windows):
    chunk = chunk_of(windows)
    z = torch.randn(chunk, w["decoder.state.weight"].shape[1], device=device)
    draw = make(decode)
    with torch.no_grad():
        many(
            prefix + "vae_many",
            lambda: draw(w, z, torch.rand(NOTES, chunk, 1, device=device)),
            windows // chunk,
        )


def vae_train(prefix, make, w, batch):
    own, weights = trainable(w)
    latent = w["decoder.state.weight"].shape[1]
    notes = Notes()

    def loss():
        pitch, channels = notes.draw(batch, NOTES)
        force = torch.rand(NOTES, batch, device=device) < 0.5
        noise = torch.randn(batch, latent, device=device)
        uniforms = torch.rand(NOTES, batch, 1, device=device)
        return vae_loss(own, pitch.t(), channels.transpose(0, 1), force, noise, uniforms)

    training_rate(
        prefix + "vae_train_windows_per_s", make(loss), weights, Lamb(weights), batch
    )


def pitch_codes(w):
    columns = (w["token.weight"].shape[1] - 1) // 2
    return torch.randn(PITCHES, columns - CHANNELS, device=device), columns


def ddim_run(net, w, steps, windows):
    codes, columns = pitch_codes(w)
    times = torch.randn(64, 1, 64, device=device)
    alphas, sigmas = cosine(steps)
    x = torch.randn(windows, NOTES, columns, device=device)
    return lambda: ddim(net, codes, x, times, alphas, sigmas)


def ddim_one(prefix, make, w, windows):
    net = make(Denoiser(w).__call__)
    with torch.no_grad():
        for steps in (20, 50, 10, 4):
            latency(f"{prefix}ddim{steps}_1", ddim_run(net, w, steps, 1), windows)


def ddim_many(prefix, make, w, windows):
    chunk = chunk_of(windows)
    net = make(Denoiser(w).__call__)
    with torch.no_grad():
        many(prefix + "ddim20_many", ddim_run(net, w, 20, chunk), windows // chunk)


def diffusion_train(prefix, make, w, batch):
    own, weights = trainable(w)
    learner = Denoiser(own)
    codes, _ = pitch_codes(w)
    notes = Notes()
    half = batch // 2

    def loss():
        pitch, channels = notes.draw(batch, SEQUENCE)
        features = torch.randn(batch, 1, 64, device=device)
        x0 = torch.cat([codes[pitch], channels], dim=2)
        x = 0.6 * x0 + 0.8 * torch.randn_like(x0)
        zero = torch.zeros_like(x0)
        flag = zero[..., :1]
        # Half of ours' passes have a first pass that tells an estimate; here each
        # step has half of one: a pass over half of the sequences.
        with torch.no_grad():
            head = learner(torch.cat([x, zero, flag], dim=2)[:half], features[:half])
            guess = torch.cat(
                [torch.softmax(head[..., :PITCHES], dim=2) @ codes, head[..., PITCHES:]], dim=2
            )
            told = torch.cat([guess, zero[half:]])
        head = learner(torch.cat([x, told, flag], dim=2), features)
        return F.cross_entropy(head[..., :PITCHES].flatten(0, 1), pitch.flatten()) + F.mse_loss(
            head[..., PITCHES:], channels
        )

    training_rate(
        prefix + "diffusion_train_notes_per_s",
        make(loss),
        weights,
        adamw(weights),
        batch * SEQUENCE,
    )


def compiled(function):
    return torch.compile(function, dynamic=False)


def main():
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    vae, diffusion = (read_weights(path) for path in sys.argv[2:4])
    latencies, windows, batch_vae, batch_diffusion = map(int, sys.argv[4:])
    say("torch", torch.__version__)
    failures = 0
    modes = [("eager_", lambda function: function)]
    if device.type == "cuda":
        say("device", torch.cuda.get_device_name())
        modes.append(("", compiled))
    for prefix, make in modes:
        for figure, weights, size in (
            (vae_train, vae, batch_vae),
            (diffusion_train, diffusion, batch_diffusion),
            (ddim_one, diffusion, latencies),
            (vae_one, vae, latencies),
            (ddim_many, diffusion, windows),
            (vae_many, vae, windows),
        ):
            try:
                figure(prefix, make, weights, size)
            except Exception:  # whatever it is, the other figures may be had
                print(f"{prefix}{figure.__name__}:", file=sys.stderr)
                traceback.print_exc()
                failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
