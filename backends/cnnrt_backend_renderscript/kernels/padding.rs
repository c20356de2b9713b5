// A copy of images with a border of zeros, and with each group's channels filled up by zeros; each item is a row.
#pragma version(1)
#pragma rs java_package_name(cnnrt)

rs_allocation images;
rs_allocation out;
int rows;          // of a padded image
int columns;
int image_rows;
int image_columns;
int top;           // rows of padding above an image, columns to its left
int left;
int groups;
int depth;         // channels of a group
int filled_depth;  // the same with zeros

void __attribute__((kernel)) pad(uint32_t x) {
    const int image = x / rows, row = x % rows - top;
    const bool inside = row >= 0 && row < image_rows;
    int to = x * columns * groups * filled_depth;
    for (int column = -left; column < columns - left; column++) {
        if (!inside || column < 0 || column >= image_columns) {
            for (int i = 0; i < groups * filled_depth; i++) rsSetElementAt_float(out, 0, to++);
            continue;
        }
        int from = ((image * image_rows + row) * image_columns + column) * groups * depth;
        for (int group = 0; group < groups; group++) {
            for (int c = 0; c < depth; c++) rsSetElementAt_float(out, rsGetElementAt_float(images, from++), to++);
            for (int c = depth; c < filled_depth; c++) rsSetElementAt_float(out, 0, to++);
        }
    }
}
