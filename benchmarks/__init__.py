"""What measures cnnrt: run as modules from the root of the repository, `python -m benchmarks.race --help`.

networks.py        the eight networks, from network_builder.py; onnx_file.py writes them for the peers
race.py            cnnrt against other engines; scaling.py does so over numbers of threads
figure8.py         CNNdroid's table: sequential and accelerated, the whole network and its heaviest convolution
layer_kernels.py   the rarer layers: reference and kernels taking turns
renderscript_shapes.py  RenderScript kernels in the shapes of CNNdroid's, and by register tiles
gpu.py             AlexNet on a device of OpenCL (torch_gpu.py, gpu_energy.py): sequential, PyTorch with cuDNN, joules
roofline.py        the limits of this machine (machine_limits.py), and how near each layer comes to them
weight_storage.py  weights in half precision on OpenCL: memory, accuracy, time
memory.py          memory and time under ceilings, drawn by memory_picture.py; CNNdroid's table of memory

contest.py and engines.py run engines in processes of their own, taking turns; record.py keeps raw samples with the
commit and the machine. docs/benchmarking.md says what the figures mean.
"""
