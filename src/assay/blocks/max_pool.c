/* The largest value of each window of two by two, and its place, for `max_pool.py`. */

#include <stdint.h>

/* Of x, (planes, height, width): the values and places of (planes, height / 2, width / 2) windows. As
   torch has it, the first of equal values counts and the last of what is no number. */
void pool_by_two(const float *restrict x, int64_t planes, int64_t height, int64_t width,
                 float *restrict values, int64_t *restrict places) {
    int64_t rows = height / 2, columns = width / 2;
    for (int64_t plane = 0; plane < planes; plane++, x += height * width)
        for (int64_t row = 0; row < rows; row++, values += columns, places += columns) {
            int64_t begin = 2 * row * width;
            const float *restrict above = x + begin, *restrict below = above + width;
            for (int64_t i = 0; i < columns; i++) {
                float largest = above[2 * i], next = above[2 * i + 1];
                int larger = (next > largest) | (next != next);
                int64_t place = larger ? 1 : 0;
                largest = larger ? next : largest;
                next = below[2 * i];
                larger = (next > largest) | (next != next);
                place = larger ? width : place;
                largest = larger ? next : largest;
                next = below[2 * i + 1];
                larger = (next > largest) | (next != next);
                values[i] = larger ? next : largest;
                places[i] = begin + 2 * i + (larger ? width + 1 : place);
            }
        }
}
