# shellcheck shell=sh disable=SC2034
# The tests that run on a GPU where there is one, for run.sh and bundle.sh; each
# does without arguments.
parity_tests='parity_basic parity_optimiser parity_transformer'
unit_tests='test_kernels test_kernels_linear test_kernels_optimiser test_kernels_transformer
test_kernels_attention test_kernels_fused test_kernels_data test_draws test_replay test_trainer
test_diffusion_trainer test_diffusion_devices test_sequence_batch'
