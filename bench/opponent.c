// libjpeg driven the leanest way it allows: one decompress and one compress struct for all images, the input in memory,
// coefficients left where jpeg_read_coefficients puts them, files written to one buffer that is kept. The library is opened by path, so that one build of this file drives any
// libjpeg of ABI 62 (Debian's libjpeg-turbo 2, the libjpeg-turbo 3 inside Pillow's wheel).
#include <dlfcn.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#if JPEG_LIB_VERSION != 62
#error "needs the header of a libjpeg with ABI 62, as libjpeg-turbo has by default"
#endif

typedef struct {
    struct jpeg_decompress_struct info;
    struct jpeg_compress_struct out;
    struct jpeg_error_mgr errors;
    jmp_buf on_error;
    void (*create)(j_decompress_ptr, int, size_t);
    struct jpeg_error_mgr* (*std_error)(struct jpeg_error_mgr*);
    void (*mem_src)(j_decompress_ptr, const unsigned char*, unsigned long);
    int (*read_header)(j_decompress_ptr, boolean);
    jvirt_barray_ptr* (*read_coefficients)(j_decompress_ptr);
    boolean (*start)(j_decompress_ptr);
    JDIMENSION (*read_scanlines)(j_decompress_ptr, JSAMPARRAY, JDIMENSION);
    void (*abort_image)(j_decompress_ptr);
    void (*destroy)(j_decompress_ptr);
    void (*save_markers)(j_decompress_ptr, int, unsigned int);
    void (*copy_parameters)(j_decompress_ptr, j_compress_ptr);
    void (*create_out)(j_compress_ptr, int, size_t);
    void (*mem_dest)(j_compress_ptr, unsigned char**, unsigned long*);
    void (*simple_progression)(j_compress_ptr);
    void (*write_coefficients)(j_compress_ptr, jvirt_barray_ptr*);
    void (*write_marker)(j_compress_ptr, int, const JOCTET*, unsigned int);
    void (*finish)(j_compress_ptr);
    void (*abort_out)(j_compress_ptr);
    void (*destroy_out)(j_compress_ptr);
    jvirt_barray_ptr* kept;  // of opponent_keep
} Opponent;

static void error_exit(j_common_ptr info) { longjmp(((Opponent*)info->client_data)->on_error, 1); }
static void output_message(j_common_ptr info) { (void)info; }

Opponent* opponent_open(const char* library_path) {
    void* library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return NULL;
    Opponent* o = calloc(1, sizeof *o);
    if (!o) return NULL;
    *(void**)&o->create = dlsym(library, "jpeg_CreateDecompress");
    *(void**)&o->std_error = dlsym(library, "jpeg_std_error");
    *(void**)&o->mem_src = dlsym(library, "jpeg_mem_src");
    *(void**)&o->read_header = dlsym(library, "jpeg_read_header");
    *(void**)&o->read_coefficients = dlsym(library, "jpeg_read_coefficients");
    *(void**)&o->start = dlsym(library, "jpeg_start_decompress");
    *(void**)&o->read_scanlines = dlsym(library, "jpeg_read_scanlines");
    *(void**)&o->abort_image = dlsym(library, "jpeg_abort_decompress");
    *(void**)&o->destroy = dlsym(library, "jpeg_destroy_decompress");
    *(void**)&o->save_markers = dlsym(library, "jpeg_save_markers");
    *(void**)&o->copy_parameters = dlsym(library, "jpeg_copy_critical_parameters");
    *(void**)&o->create_out = dlsym(library, "jpeg_CreateCompress");
    *(void**)&o->mem_dest = dlsym(library, "jpeg_mem_dest");
    *(void**)&o->simple_progression = dlsym(library, "jpeg_simple_progression");
    *(void**)&o->write_coefficients = dlsym(library, "jpeg_write_coefficients");
    *(void**)&o->write_marker = dlsym(library, "jpeg_write_marker");
    *(void**)&o->finish = dlsym(library, "jpeg_finish_compress");
    *(void**)&o->abort_out = dlsym(library, "jpeg_abort_compress");
    *(void**)&o->destroy_out = dlsym(library, "jpeg_destroy_compress");
    if (!o->create || !o->std_error || !o->mem_src || !o->read_header || !o->read_coefficients || !o->start ||
        !o->read_scanlines || !o->abort_image || !o->destroy || !o->save_markers || !o->copy_parameters ||
        !o->create_out || !o->mem_dest || !o->simple_progression || !o->write_coefficients || !o->write_marker ||
        !o->finish || !o->abort_out || !o->destroy_out) {
        free(o);
        return NULL;
    }
    o->info.err = o->out.err = o->std_error(&o->errors);
    o->info.client_data = o->out.client_data = o;
    o->errors.error_exit = error_exit;
    o->errors.output_message = output_message;
    if (setjmp(o->on_error)) {  // the library was built for another struct
        free(o);
        return NULL;
    }
    o->create(&o->info, JPEG_LIB_VERSION, sizeof o->info);
    o->create_out(&o->out, JPEG_LIB_VERSION, sizeof o->out);
    return o;
}

static int begin(Opponent* o, const uint8_t* jpeg, size_t size) {
    o->errors.num_warnings = 0;
    o->mem_src(&o->info, jpeg, size);
    return o->read_header(&o->info, TRUE);
}

// Every function below returns the number of warnings, or -1 where libjpeg gave up.

int opponent_header(Opponent* o, const uint8_t* jpeg, size_t size) {
    int failed = setjmp(o->on_error);
    if (!failed) begin(o, jpeg, size);
    o->abort_image(&o->info);
    return failed ? -1 : (int)o->errors.num_warnings;
}

int opponent_coefficients(Opponent* o, const uint8_t* jpeg, size_t size) {
    int failed = setjmp(o->on_error);
    if (!failed) {
        begin(o, jpeg, size);
        o->read_coefficients(&o->info);
    }
    o->abort_image(&o->info);
    return failed ? -1 : (int)o->errors.num_warnings;
}

// layout: width, height, components, then blocks_high and blocks_wide of each component.
int opponent_layout(Opponent* o, const uint8_t* jpeg, size_t size, int layout[11]) {
    int failed = setjmp(o->on_error);
    if (!failed) {
        begin(o, jpeg, size);
        layout[0] = (int)o->info.image_width;
        layout[1] = (int)o->info.image_height;
        layout[2] = o->info.num_components;
        for (int c = 0; c < o->info.num_components && c < 4; c++) {
            layout[3 + 2 * c] = (int)o->info.comp_info[c].height_in_blocks;
            layout[4 + 2 * c] = (int)o->info.comp_info[c].width_in_blocks;
        }
    }
    o->abort_image(&o->info);
    return failed ? -1 : (int)o->errors.num_warnings;
}

// For the comparison before the timing only: copies the coefficients out; planes as opponent_layout says.
int opponent_planes(Opponent* o, const uint8_t* jpeg, size_t size, int16_t* const planes[4]) {
    int failed = setjmp(o->on_error);
    if (!failed) {
        begin(o, jpeg, size);
        jvirt_barray_ptr* arrays = o->read_coefficients(&o->info);
        for (int c = 0; c < o->info.num_components; c++) {
            jpeg_component_info* component = &o->info.comp_info[c];
            for (JDIMENSION row = 0; row < component->height_in_blocks; row++) {
                JBLOCKARRAY blocks = o->info.mem->access_virt_barray((j_common_ptr)&o->info, arrays[c], row, 1, FALSE);
                memcpy(planes[c] + (size_t)row * component->width_in_blocks * 64, blocks[0],
                       (size_t)component->width_in_blocks * sizeof(JBLOCK));
            }
        }
    }
    o->abort_image(&o->info);
    return failed ? -1 : (int)o->errors.num_warnings;
}

// pixels: height * width * 3 bytes.
int opponent_rgb(Opponent* o, const uint8_t* jpeg, size_t size, uint8_t* pixels) {
    int failed = setjmp(o->on_error);
    if (!failed) {
        begin(o, jpeg, size);
        o->info.out_color_space = JCS_RGB;
        o->start(&o->info);
        size_t stride = (size_t)o->info.output_width * 3;
        while (o->info.output_scanline < o->info.output_height) {
            JSAMPROW rows[16];
            for (int i = 0; i < 16; i++) rows[i] = pixels + (o->info.output_scanline + (size_t)i) * stride;
            JDIMENSION left = o->info.output_height - o->info.output_scanline;
            o->read_scanlines(&o->info, rows, left < 16 ? left : 16);
        }
    }
    o->abort_image(&o->info);
    return failed ? -1 : (int)o->errors.num_warnings;
}

// Reads an image, of which the coefficients stay until the opponent is closed, to be written again and again.
int opponent_keep(Opponent* o, const uint8_t* jpeg, size_t size) {
    int failed = setjmp(o->on_error);
    if (!failed) {
        begin(o, jpeg, size);
        o->kept = o->read_coefficients(&o->info);
    }
    return failed ? -1 : (int)o->errors.num_warnings;
}

static void write_out(Opponent* o, jvirt_barray_ptr* arrays, int progressive, uint8_t* file, unsigned long* size) {
    unsigned char* buffer = file;
    o->mem_dest(&o->out, &buffer, size);
    o->copy_parameters(&o->info, &o->out);
    o->out.optimize_coding = TRUE;
    if (progressive) o->simple_progression(&o->out);
    o->write_coefficients(&o->out, arrays);
    // As jpegtran -copy all has it, which leaves out the JFIF and Adobe segments that the library writes itself.
    for (jpeg_saved_marker_ptr marker = o->info.marker_list; marker; marker = marker->next) {
        if (o->out.write_JFIF_header && marker->marker == JPEG_APP0 && marker->data_length >= 5 &&
            memcmp(marker->data, "JFIF", 5) == 0)
            continue;
        if (o->out.write_Adobe_marker && marker->marker == JPEG_APP0 + 14 && marker->data_length >= 5 &&
            memcmp(marker->data, "Adobe", 5) == 0)
            continue;
        o->write_marker(&o->out, marker->marker, marker->data, marker->data_length);
    }
    o->finish(&o->out);
    if (buffer != file) free(buffer);  // the file was larger than the caller's buffer
}

// Writes the image of opponent_keep with optimal tables. `size` is that of the buffer, and becomes that of the file.
int opponent_write(Opponent* o, int progressive, uint8_t* file, unsigned long* size) {
    int failed = setjmp(o->on_error);
    if (!failed) write_out(o, o->kept, progressive, file, size);
    o->abort_out(&o->out);
    return failed ? -1 : (int)o->errors.num_warnings;
}

// What jpegtran -copy all -optimize does, or with -progressive.
int opponent_transcode(Opponent* o, const uint8_t* jpeg, size_t jpeg_size, int progressive, uint8_t* file,
                       unsigned long* size) {
    int failed = setjmp(o->on_error);
    if (!failed) {
        o->save_markers(&o->info, JPEG_COM, 0xFFFF);
        for (int i = 0; i < 16; i++) o->save_markers(&o->info, JPEG_APP0 + i, 0xFFFF);
        begin(o, jpeg, jpeg_size);
        write_out(o, o->read_coefficients(&o->info), progressive, file, size);
    }
    o->abort_image(&o->info);
    o->abort_out(&o->out);
    return failed ? -1 : (int)o->errors.num_warnings;
}

void opponent_close(Opponent* o) {
    o->destroy(&o->info);
    o->destroy_out(&o->out);
    free(o);
}
