#!/usr/bin/env python3
"""The same networks in PyTorch, as fast as it makes them: torch.compile, CUDA
graphs, TF32, fused AdamW. Prints JSON with the keys of bench_gpu, and training
rates. Their outputs are checked against the weights' own arithmetic only in
shape: what counts here is the time.

usage: reference.py VAE.safetensors DIFFUSION.safetensors LATENCIES MANY BATCH_VAE BATCH_DIFFUSION
"""
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

NOTES = 8
PITCHES = 128
CHANNELS = 3
device = torch.device("cuda")
torch.set_float32_matmul_precision("high")  # TF32, as ours
torch.backends.cuda.matmul.allow_tf32 = True


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
        angle = torch.arange(32, device=device)[:, None] * 1.57 * (1 / 16) ** share
        self.cos, self.sin = angle.cos(), angle.sin()

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w[name + ".bias"][0])

    def rotate(self, x, notes):  # [S, L, H, D/H]
        a, b = x.chunk(2, dim=3)
        cos, sin = self.cos[:notes, None], self.sin[:notes, None]
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=3)

    def norm(self, x, shift, scale):
        return F.layer_norm(x, (self.width,), eps=1e-5) * (1 + scale) + shift

    def __call__(self, tokens, features):  # [S, L, input], [S, 1, 64]
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
        features = times[i].expand(x.shape[0], 1, -1)
        head = net(torch.cat([x, told, flag], dim=2), features)
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


# --- Time --------------------------------------------------------------------


def latency(run, to_host, windows):
    for _ in range(20):
        to_host(run())
    seconds = []
    for _ in range(windows):
        start = time.perf_counter()
        to_host(run())
        seconds.append(time.perf_counter() - start)
    seconds.sort()
    return 1e3 * statistics.median(seconds), 1e3 * seconds[int(0.99 * windows)]


def captured(function):
    """A CUDA graph of function(), which returns its outputs."""
    stream = torch.cuda.Stream()
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


def many(make, windows, batch):
    runs = captured(make)
    to_host(runs())
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(0, windows, batch):
        to_host(runs())
    return 1e3 * (time.perf_counter() - start)


def training_rate(loss_of, weights, batch, steps=60):
    """Units a second of compiled forward, backward, clipping and fused AdamW."""
    optimiser = torch.optim.AdamW(weights, lr=1e-4, fused=True, capturable=True)
    compiled = torch.compile(loss_of, mode="max-autotune-no-cudagraphs")

    def step():
        optimiser.zero_grad(set_to_none=False)
        loss = compiled()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0, foreach=True)
        optimiser.step()
        return (loss.detach(),)

    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    run = captured(step)
    for _ in range(5):
        run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        run()
    torch.cuda.synchronize()
    return batch * steps / (time.perf_counter() - start)


def trainable(w):
    made = {name: tensor.clone().requires_grad_(True) for name, tensor in w.items()}
    return made, list(made.values())


def bench_vae(w, figures, latencies, windows, batch):
    z_one = torch.randn(1, w["decoder.state.weight"].shape[1], device=device)
    draw = torch.compile(decode, mode="max-autotune-no-cudagraphs")

    def one():
        return draw(w, z_one, torch.rand(NOTES, 1, 1, device=device))

    with torch.no_grad():
        figures["vae_1_p50_ms"], figures["vae_1_p99_ms"] = latency(
            captured(one), to_host, latencies
        )
        chunk = min(windows, 2048)
        z_many = torch.randn(chunk, z_one.shape[1], device=device)
        figures["vae_many_ms"] = many(
            lambda: draw(w, z_many, torch.rand(NOTES, chunk, 1, device=device)), windows, chunk
        )
    pitch = torch.randint(21, 109, (NOTES, batch), device=device)
    channels = torch.randn(NOTES, batch, CHANNELS, device=device)
    own, weights = trainable({k: v for k, v in w.items() if not k.startswith("latent.")})

    def loss():
        force = torch.rand(NOTES, batch, device=device) < 0.5
        noise = torch.randn(batch, z_one.shape[1], device=device)
        return vae_loss(
            own, pitch, channels, force, noise, torch.rand(NOTES, batch, 1, device=device)
        )

    figures["vae_train_windows_per_s"] = training_rate(loss, weights, batch)


def bench_diffusion(w, figures, latencies, windows, batch):
    columns = (w["token.weight"].shape[1] - 1) // 2
    codes = torch.randn(PITCHES, columns - CHANNELS, device=device)
    net = Denoiser(w)
    compiled = torch.compile(net.__call__, mode="max-autotune-no-cudagraphs")
    times = torch.randn(64, 1, 64, device=device)
    with torch.no_grad():
        for steps in (50, 20, 10, 4):
            alphas, sigmas = cosine(steps)
            x = torch.randn(1, NOTES, columns, device=device)
            run = captured(lambda: ddim(compiled, codes, x, times, alphas, sigmas))
            p50, p99 = latency(run, to_host, latencies)
            figures[f"ddim{steps}_1_p50_ms"], figures[f"ddim{steps}_1_p99_ms"] = p50, p99
        chunk = min(windows, 2048)
        alphas, sigmas = cosine(20)
        x = torch.randn(chunk, NOTES, columns, device=device)
        figures["ddim20_many_ms"] = many(
            lambda: ddim(compiled, codes, x, times, alphas, sigmas), windows, chunk
        )
    own, weights = trainable(w)
    learner = Denoiser(own)
    x0 = torch.randn(batch, 32, columns, device=device)
    pitch = torch.randint(21, 109, (batch, 32), device=device)

    def loss():
        features = torch.randn(batch, 1, 64, device=device)
        x = 0.6 * x0 + 0.8 * torch.randn_like(x0)
        zero = torch.zeros_like(x0)
        flag = zero[..., :1]
        # Half of ours' passes have a first pass that tells an estimate; here each
        # step has half of one: a pass over half of the sequences.
        with torch.no_grad():
            half = batch // 2
            head = learner(torch.cat([x, zero, flag], dim=2)[:half], features[:half])
            guess = torch.cat(
                [torch.softmax(head[..., :PITCHES], dim=2) @ codes, head[..., PITCHES:]], dim=2
            )
            told = torch.cat([guess, zero[half:]])
        head = learner(torch.cat([x, told, flag], dim=2), features)
        return F.cross_entropy(head[..., :PITCHES].flatten(0, 1), pitch.flatten()) + F.mse_loss(
            head[..., PITCHES:], x0[..., -CHANNELS:]
        )

    figures["diffusion_train_notes_per_s"] = 32 * training_rate(loss, weights, batch)


def main():
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    latencies, windows, batch_vae, batch_diffusion = map(int, sys.argv[3:])
    figures = {"torch": torch.__version__, "device": torch.cuda.get_device_name()}
    weights = [{k: v.to(device) for k, v in load_file(path).items()} for path in sys.argv[1:3]]
    bench_vae(weights[0], figures, latencies, windows, batch_vae)
    bench_diffusion(weights[1], figures, latencies, windows, batch_diffusion)
    json.dump(figures, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
