/* Writes a JPEG's coefficients again, arithmetic-coded: an encoder for the precisions and conditioning tables that cjpeg and
 * jpegtran do not offer. Through jpeglib.h's ABI 62, the library opened at run time (see oracle.c). */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

struct options {
    int progressive, restart_interval;
    int dc_lower, dc_upper, ac_kx; /* L, U, Kx of all tables (T.81 B.2.4.3) */
};

struct manager {
    struct jpeg_error_mgr base; /* first: libjpeg sees only this */
    jmp_buf out;
};

static void give_up(j_common_ptr cinfo) { longjmp(((struct manager *)cinfo->err)->out, 1); }
static void ignore(j_common_ptr cinfo, int level) { (void)cinfo, (void)level; }

/* The size of the file written to *to (malloc), or 0 where libjpeg gave up. */
unsigned long transcode(const char *library, const unsigned char *data, unsigned long size, const struct options *options,
                        unsigned char **to) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    struct jpeg_decompress_struct from;
    struct jpeg_compress_struct into;
    struct manager m;
    jvirt_barray_ptr *arrays;
    unsigned long written = 0;
    int i;
    struct jpeg_error_mgr *(*std_error)(struct jpeg_error_mgr *);
    void (*create_from)(j_decompress_ptr, int, size_t), (*create_into)(j_compress_ptr, int, size_t);
    void (*mem_src)(j_decompress_ptr, const unsigned char *, unsigned long);
    void (*mem_dest)(j_compress_ptr, unsigned char **, unsigned long *);
    int (*read_header)(j_decompress_ptr, boolean);
    jvirt_barray_ptr *(*read_coefficients)(j_decompress_ptr);
    void (*copy_parameters)(j_decompress_ptr, j_compress_ptr), (*progression)(j_compress_ptr);
    void (*write_coefficients)(j_compress_ptr, jvirt_barray_ptr *), (*finish)(j_compress_ptr), (*destroy)(j_common_ptr);
    if (!handle) return 0;
    *(void **)&std_error = dlsym(handle, "jpeg_std_error");
    *(void **)&create_from = dlsym(handle, "jpeg_CreateDecompress");
    *(void **)&create_into = dlsym(handle, "jpeg_CreateCompress");
    *(void **)&mem_src = dlsym(handle, "jpeg_mem_src");
    *(void **)&mem_dest = dlsym(handle, "jpeg_mem_dest");
    *(void **)&read_header = dlsym(handle, "jpeg_read_header");
    *(void **)&read_coefficients = dlsym(handle, "jpeg_read_coefficients");
    *(void **)&copy_parameters = dlsym(handle, "jpeg_copy_critical_parameters");
    *(void **)&progression = dlsym(handle, "jpeg_simple_progression");
    *(void **)&write_coefficients = dlsym(handle, "jpeg_write_coefficients");
    *(void **)&finish = dlsym(handle, "jpeg_finish_compress");
    *(void **)&destroy = dlsym(handle, "jpeg_destroy");
    *to = NULL;
    memset(&from, 0, sizeof from);
    memset(&into, 0, sizeof into);
    from.err = into.err = std_error(&m.base);
    m.base.error_exit = give_up;
    m.base.emit_message = ignore;
    if (!setjmp(m.out)) {
        create_from(&from, JPEG_LIB_VERSION, sizeof from);
        create_into(&into, JPEG_LIB_VERSION, sizeof into);
        mem_src(&from, data, size);
        read_header(&from, TRUE);
        arrays = read_coefficients(&from);
        copy_parameters(&from, &into);
        into.arith_code = TRUE;
        into.restart_interval = (unsigned)options->restart_interval;
        if (options->progressive) progression(&into);
        for (i = 0; i < NUM_ARITH_TBLS; i++) {
            into.arith_dc_L[i] = (UINT8)options->dc_lower;
            into.arith_dc_U[i] = (UINT8)options->dc_upper;
            into.arith_ac_K[i] = (UINT8)options->ac_kx;
        }
        mem_dest(&into, to, &written);
        write_coefficients(&into, arrays);
        finish(&into);
    } else {
        written = 0;
    }
    destroy((j_common_ptr)&into);
    destroy((j_common_ptr)&from);
    return written;
}

void transcode_free(unsigned char *written) { free(written); }
