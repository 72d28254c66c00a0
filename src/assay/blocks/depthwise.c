/* The gradient of the kernels of a depthwise convolution, for `depthwise.py`. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX512F__
#define LANES 16 /* channels that are summed side by side */
#else
#define LANES 8
#endif

typedef float lanes __attribute__((vector_size(4 * LANES)));

/* Where the values of (images, channels, height, width) lie. */
typedef struct {
    const float *values;
    int64_t image, channel, row, column; /* steps from each to the next */
} maps;

/* Put one row of so many channels side by side. */
static void gather(const float *from, const maps *x, int64_t width, int64_t channels, lanes *to) {
    if (x->channel == 1 && channels == LANES) {
        for (int64_t w = 0; w < width; w++)
            memcpy(to + w, from + w * x->column, sizeof(lanes));
        return;
    }
    for (int64_t c = 0; c < channels; c++)
        for (int64_t w = 0; w < width; w++)
            to[w][c] = from[c * x->channel + w * x->column];
}

/* Add what one row of gradients has with the rows that its kernels read. */
static inline __attribute__((always_inline)) void add_row(const lanes *x, int64_t pitch,
                                                          const lanes *gradient, int64_t width,
                                                          int64_t stride, int side, lanes *total) {
    for (int i = 0; i < side; i++) {
        lanes sums[side];
        for (int j = 0; j < side; j++)
            sums[j] = (lanes){0};
        const lanes *row = x + i * pitch;
        for (int64_t w = 0; w < width; w++)
            for (int j = 0; j < side; j++)
                sums[j] += gradient[w] * row[w * stride + j];
        for (int j = 0; j < side; j++)
            total[i * side + j] += sums[j];
    }
}

/* Fill found, (channels, side, side), with the gradient of kernels that read x, (images, channels,
   height, width), with so much padding, and whose answers, (images, channels, rows, columns), have
   this gradient. sizes: images, channels, height, width, rows, columns, side, stride, padding.
   x_steps, steps: from each image, channel, row and column to the next. Returns whether it did. */
int kernel_gradient(const float *x_values, const int64_t *x_steps, const float *values,
                    const int64_t *steps, const int64_t *sizes, float *found) {
    int64_t images = sizes[0], channels = sizes[1], height = sizes[2], width = sizes[3];
    int64_t rows = sizes[4], columns = sizes[5], stride = sizes[7], padding = sizes[8];
    int side = (int)sizes[6];
    maps x = {x_values, x_steps[0], x_steps[1], x_steps[2], x_steps[3]};
    maps gradient = {values, steps[0], steps[1], steps[2], steps[3]};
    int64_t pitch = width + 2 * padding, whole = (height + 2 * padding) * pitch;
    size_t bytes = (size_t)(whole + columns + side * side) * sizeof(lanes);
    lanes *padded = side == 5 || side == 7 || side == 9 ? aligned_alloc(sizeof(lanes), bytes) : NULL;
    if (!padded)
        return 0;
    lanes *row = padded + whole, *total = row + columns;
    memset(padded, 0, bytes);
    for (int64_t first = 0; first < channels; first += LANES) {
        int64_t some = channels - first < LANES ? channels - first : LANES;
        memset(total, 0, (size_t)(side * side) * sizeof(lanes));
        for (int64_t n = 0; n < images; n++) {
            const float *image = x.values + n * x.image + first * x.channel;
            for (int64_t h = 0; h < height; h++)
                gather(image + h * x.row, &x, width, some, padded + (h + padding) * pitch + padding);
            const float *answer = gradient.values + n * gradient.image + first * gradient.channel;
            for (int64_t h = 0; h < rows; h++) {
                const lanes *read = padded + h * stride * pitch;
                gather(answer + h * gradient.row, &gradient, columns, some, row);
                if (side == 5)
                    add_row(read, pitch, row, columns, stride, 5, total);
                else if (side == 7)
                    add_row(read, pitch, row, columns, stride, 7, total);
                else
                    add_row(read, pitch, row, columns, stride, 9, total);
            }
        }
        for (int64_t c = 0; c < some; c++)
            for (int k = 0; k < side * side; k++)
                found[(first + c) * side * side + k] = total[k][c];
    }
    free(padded);
    return 1;
}
