/* Statistics of each channel of channels-first maps while training, for `batch_norm.py`. */

#include <math.h>
#include <stdint.h>

#define LANES 16 /* sums that grow side by side: one alone would wait for itself */

typedef double sums[LANES];

static double total(const sums lanes) {
    double sum = 0.0;
    for (int k = 0; k < LANES; k++)
        sum += lanes[k];
    return sum;
}

static void add(const float *restrict row, int64_t area, double *restrict lanes) {
    int64_t whole = area - area % LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int k = 0; k < LANES; k++)
            lanes[k] += row[i + k];
    for (int64_t i = whole; i < area; i++)
        lanes[i - whole] += row[i];
}

static void add_squares(const float *restrict row, int64_t area, float mean,
                        double *restrict lanes) {
    int64_t whole = area - area % LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int k = 0; k < LANES; k++)
            lanes[k] += (row[i + k] - mean) * (row[i + k] - mean);
    for (int64_t i = whole; i < area; i++)
        lanes[i - whole] += (row[i] - mean) * (row[i] - mean);
}

/* Of x, (images, channels, area): the mean of each channel and one over its standard deviation,
   towards which the running mean and variance are drawn. Each step has the precision that torch's
   has, so that all bits agree; products and sums must not be contracted. */
void statistics(const float *x, int64_t images, int64_t channels, int64_t area, double eps,
                float momentum, float *means, float *inverses, float *running_means,
                float *running_variances) {
    int64_t count = images * area;
    for (int64_t c = 0; c < channels; c++) {
        sums values = {0}, squares = {0};
        for (int64_t n = 0; n < images; n++)
            add(x + (n * channels + c) * area, area, values);
        float mean = (float)(total(values) / (double)count);
        for (int64_t n = 0; n < images; n++)
            add_squares(x + (n * channels + c) * area, area, mean, squares);
        float sum = (float)total(squares);
        means[c] = mean;
        inverses[c] = (float)(1.0 / sqrt((double)(sum / (float)count) + eps));
        running_means[c] = momentum * mean + (1.0f - momentum) * running_means[c];
        double variance = sum / (float)(count - 1);
        running_variances[c] =
            (float)(momentum * variance + (1.0f - momentum) * running_variances[c]);
    }
}
