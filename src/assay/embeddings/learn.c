/* The inner loops of word2vec, doc2vec and GloVe; `batched.py` does the same without a compiler.

   Several threads may call these on the same arrays without a lock: the rows that they change at
   the same moment are few (Recht et al., 2011, https://arxiv.org/abs/1106.5730). */

#include <math.h>
#include <stdint.h>

#define MOST_OUTPUTS 128 /* rows that one example is scored against, at most */

static inline uint64_t draw(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/* One word by the noise distribution: Walker's alias method, Vose 1991. */
static inline int32_t noise(const float *keep, const int32_t *other, int32_t words, uint64_t *state) {
    uint64_t bits = draw(state);
    int32_t word = (int32_t)(((bits >> 32) * (uint64_t)words) >> 32);
    float chance = (float)(bits & 0xffffff) * (1.0f / 16777216.0f);
    return chance < keep[word] ? word : other[word];
}

/* Learn `count` examples. Example i: the mean of the rows inputs[i * width ...] of `vectors` (-1:
   none) shall tell targets[i]. With `negative` > 0 it is told from so many noise words; else its
   path in a tree, nodes[starts[t] .. starts[t + 1]] with the turns at each, is told. Rows of
   `vectors` below `frozen` stay, and so do the outputs unless `learn_outputs`. */
void learn_examples(float *vectors, float *outputs, const int32_t *inputs, int32_t width,
                    const int32_t *targets, int64_t count, int32_t dim, float rate,
                    int32_t negative, const float *keep, const int32_t *other, int32_t words,
                    const int32_t *nodes, const int8_t *turns, const int64_t *starts,
                    int32_t frozen, int32_t learn_outputs, uint64_t *state, float *scratch) {
    float *mean = scratch, *change = scratch + dim;
    int32_t rows[MOST_OUTPUTS];
    float wanted[MOST_OUTPUTS], step[MOST_OUTPUTS];
    for (int64_t i = 0; i < count; i++) {
        const int32_t *given = inputs + i * width;
        int32_t there = 0, last = -1;
        for (int32_t j = 0; j < width; j++)
            if (given[j] >= 0) there++, last = given[j];
        if (there == 0) continue;
        const float *hidden = vectors + (int64_t)last * dim;
        if (there > 1) {
            for (int32_t d = 0; d < dim; d++) mean[d] = 0;
            for (int32_t j = 0; j < width; j++) {
                if (given[j] < 0) continue;
                const float *row = vectors + (int64_t)given[j] * dim;
                for (int32_t d = 0; d < dim; d++) mean[d] += row[d];
            }
            for (int32_t d = 0; d < dim; d++) mean[d] /= there;
            hidden = mean;
        }
        int32_t number = 0;
        if (negative > 0) {
            rows[number] = targets[i], wanted[number++] = 1.0f;
            for (int32_t n = 0; n < negative; n++) {
                int32_t word = noise(keep, other, words, state);
                if (word != targets[i]) rows[number] = word, wanted[number++] = 0.0f;
            }
        } else {
            for (int64_t n = starts[targets[i]]; n < starts[targets[i] + 1]; n++)
                rows[number] = nodes[n], wanted[number++] = (float)(1 - turns[n]);
        }
        for (int32_t n = 0; n < number; n++) {
            const float *row = outputs + (int64_t)rows[n] * dim;
            float score = 0;
            for (int32_t d = 0; d < dim; d++) score += hidden[d] * row[d];
            step[n] = score;
        }
        for (int32_t n = 0; n < number; n++) step[n] = (wanted[n] - sigmoid(step[n])) * rate;
        for (int32_t d = 0; d < dim; d++) change[d] = 0;
        for (int32_t n = 0; n < number; n++) {
            float *row = outputs + (int64_t)rows[n] * dim;
            for (int32_t d = 0; d < dim; d++) change[d] += step[n] * row[d];
            if (learn_outputs)
                for (int32_t d = 0; d < dim; d++) row[d] += step[n] * hidden[d];
        }
        for (int32_t j = 0; j < width; j++) {
            if (given[j] < frozen) continue;
            float *row = vectors + (int64_t)given[j] * dim;
            for (int32_t d = 0; d < dim; d++) row[d] += change[d];
        }
    }
}

/* Fit v_i . u_j + a_i + b_j to `logs`, each square weighted by `weights`, with AdaGrad. `vectors`
   and `contexts` have dim + 1 columns, the bias last; the squares of their past gradients stand
   in `past` and `past_contexts`. Returns the loss before the steps. */
double learn_counts(float *vectors, float *contexts, float *past, float *past_contexts,
                    const int32_t *first, const int32_t *second, const float *logs,
                    const float *weights, int64_t count, int32_t dim, float rate) {
    double loss = 0;
    for (int64_t n = 0; n < count; n++) {
        int64_t i = (int64_t)first[n] * (dim + 1), j = (int64_t)second[n] * (dim + 1);
        float *v = vectors + i, *u = contexts + j, *pv = past + i, *pu = past_contexts + j;
        float error = v[dim] + u[dim] - logs[n];
        for (int32_t d = 0; d < dim; d++) error += v[d] * u[d];
        float slope = weights[n] * error;
        loss += 0.5 * slope * error;
        for (int32_t d = 0; d < dim; d++) {
            float to_v = slope * u[d], to_u = slope * v[d];
            v[d] -= rate * to_v / sqrtf(pv[d]);
            u[d] -= rate * to_u / sqrtf(pu[d]);
            pv[d] += to_v * to_v;
            pu[d] += to_u * to_u;
        }
        v[dim] -= rate * slope / sqrtf(pv[dim]);
        u[dim] -= rate * slope / sqrtf(pu[dim]);
        pv[dim] += slope * slope;
        pu[dim] += slope * slope;
    }
    return loss;
}
