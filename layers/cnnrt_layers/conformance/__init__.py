"""What tests need to know of these layers, for `cnnrt.testing`: which calls to try, and how exact kernels have to be.

Not imported by the layers, which only name their suites; needs hypothesis.
"""
