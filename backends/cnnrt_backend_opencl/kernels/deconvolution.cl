// Transposed convolution: each output is a sum over the kernel's positions whose place in the input is a whole number.
//
// A work-item computes `run` neighbouring output pixels of LANES channels, 1, 2, 4, 8 or 16, of which a group's outputs
// are a multiple; with EACH_CHANNEL, where groups have one input and one output, of which the channels are.
// FOLDED(v): what is applied to each result. HALF_WEIGHTS: if defined, weights are halves, read as floats.
//
// Images lie channels last, weights as [group][row][column][input of the group][output of the group], with EACH_CHANNEL
// as [row][column][channel].
// Global size: channels of the output / LANES (rounded up), runs of a row of outputs, rows of outputs of all images.

#ifndef LANES
#define LANES 4
#endif
#ifndef EACH_CHANNEL
#define EACH_CHANNEL 0
#endif
#ifndef FOLDED
#define FOLDED(v) (v)
#endif

#if LANES == 1
#define FLOATS float
#else
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define FLOATS JOIN(float, LANES)
#endif
#ifdef HALF_WEIGHTS
#if LANES == 1
#define WEIGHTS ushort
#define WEIGHT(w, i) vload_half(i, (__global const half *)(w))
#else
#define WEIGHTS JOIN(ushort, LANES)
#define WEIGHT(w, i) JOIN(vloada_half, LANES)(i, (__global const half *)(w))
#endif
#else
#define WEIGHTS FLOATS
#define WEIGHT(w, i) (w)[i]
#endif
typedef FLOATS UNALIGNED __attribute__((aligned(4))); // images may begin at any float of a buffer

__kernel void spread(__global const float *restrict x, __global const WEIGHTS *restrict weights,
                     __global const FLOATS *restrict biases, __global float *restrict y, const int rows, const int run,
                     const int group_inputs, const int group_outputs, const int groups, const int height,
                     const int width, const int out_height, const int out_width, const int kernel_rows,
                     const int kernel_columns, const int stride_rows, const int stride_columns,
                     const int dilation_rows, const int dilation_columns, const int top, const int left) {
    const int vectors = groups * group_outputs / LANES, vector = get_global_id(0);
    const int row = get_global_id(2); // of outputs, counted through images
    if (vector >= vectors || row >= rows) return;
    const int channels = groups * group_inputs, a = row % out_height + top;
#if EACH_CHANNEL
    const int first = vector * LANES;
    weights += vector;
#else
    const int group_vectors = group_outputs / LANES, group = vector / group_vectors;
    const int first = group * group_inputs;
    weights += group * (kernel_rows * kernel_columns * group_inputs * group_vectors) + vector % group_vectors;
#endif
    __global const float *image = x + row / out_height * (height * width * channels) + first;
    for (int i = 0; i < run; i++) {
        const int column = (int)get_global_id(1) * run + i, b = column + left;
        if (column >= out_width) return;
        FLOATS result = biases[vector];
        for (int r = 0; r < kernel_rows; r++) {
            const int down = a - r * dilation_rows, input_row = down / stride_rows;
            if (down < 0 || input_row * stride_rows != down || input_row >= height) continue;
            for (int s = 0; s < kernel_columns; s++) {
                const int across = b - s * dilation_columns, input_column = across / stride_columns;
                if (across < 0 || input_column * stride_columns != across || input_column >= width) continue;
                __global const float *in = image + (input_row * width + input_column) * channels;
                const int tap = r * kernel_columns + s;
#if EACH_CHANNEL
                result += *(__global const UNALIGNED *)in * WEIGHT(weights, tap * vectors);
#else
                // Four sums, so that one product need not wait for the one before.
                FLOATS sum = (FLOATS)(0.0f), second = sum, third = sum, fourth = sum;
                __global const WEIGHTS *w = weights + tap * group_inputs * group_vectors;
                int c = 0;
                for (; c + 4 <= group_inputs; c += 4) {
                    sum += in[c] * WEIGHT(w, c * group_vectors);
                    second += in[c + 1] * WEIGHT(w, (c + 1) * group_vectors);
                    third += in[c + 2] * WEIGHT(w, (c + 2) * group_vectors);
                    fourth += in[c + 3] * WEIGHT(w, (c + 3) * group_vectors);
                }
                for (; c < group_inputs; c++) sum += in[c] * WEIGHT(w, c * group_vectors);
                result += (sum + second) + (third + fourth);
#endif
            }
        }
        ((__global UNALIGNED *)y)[(row * out_width + column) * vectors + vector] = FOLDED(result);
    }
}
