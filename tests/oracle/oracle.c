/* libjpeg(-turbo) as oracle: coefficients, tables and complaints of one JPEG in memory, through jpeglib.h's ABI 62.
 *
 * The library is opened at run time, so that one build asks any libjpeg of that ABI (Debian's, Pillow's). */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#define MAX_COMPONENTS_READ 10

struct oracle_component {
    int identifier, horizontal, vertical, blocks_high, blocks_wide, table_latched;
    unsigned short table[64]; /* natural order */
    short* plane;             /* blocks_high * blocks_wide * 64, natural order; malloc */
};

struct oracle_result {
    int status; /* 0 read, 1 libjpeg gave up, 2 over the caller's limits */
    int stage;  /* 0 before the header was read, 1 reading coefficients, 2 done */
    char error[JMSG_LENGTH_MAX];
    int warnings;
    char warning_text[4096]; /* one line a distinct warning */
    int height, width, precision, color_space, component_count, progressive, arithmetic, restart_interval;
    struct oracle_component components[MAX_COMPONENTS_READ];
};

struct library {
    struct jpeg_error_mgr* (*std_error)(struct jpeg_error_mgr*);
    void (*create)(j_decompress_ptr, int, size_t);
    void (*mem_src)(j_decompress_ptr, const unsigned char*, unsigned long);
    int (*read_header)(j_decompress_ptr, boolean);
    jvirt_barray_ptr* (*read_coefficients)(j_decompress_ptr);
    void (*destroy)(j_decompress_ptr);
};

struct manager {
    struct jpeg_error_mgr base; /* first: libjpeg sees only this */
    struct oracle_result* result;
    int scans_left;
    jmp_buf out;
};

static void give_up(j_common_ptr cinfo) {
    struct manager* m = (struct manager*)cinfo->err;
    m->base.format_message(cinfo, m->result->error);
    m->result->status = 1;
    longjmp(m->out, 1);
}

static void note(j_common_ptr cinfo, int level) {
    struct manager* m = (struct manager*)cinfo->err;
    char text[JMSG_LENGTH_MAX + 1];
    size_t used;
    if (level >= 0) return; /* a trace message */
    m->result->warnings++;
    m->base.format_message(cinfo, text);
    strcat(text, "\n");
    used = strlen(m->result->warning_text);
    if (!strstr(m->result->warning_text, text) && used + strlen(text) < sizeof m->result->warning_text)
        strcpy(m->result->warning_text + used, text);
}

/* libjpeg itself reads any number of scans, at any cost. */
static void count_scans(j_common_ptr cinfo) {
    struct manager* m = (struct manager*)cinfo->err;
    if (((j_decompress_ptr)cinfo)->input_scan_number > m->scans_left) {
        m->result->status = 2;
        longjmp(m->out, 1);
    }
}

void* oracle_open(const char* path) {
    void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    struct library* l = handle ? calloc(1, sizeof *l) : NULL;
    if (!l) return NULL;
    *(void**)&l->std_error = dlsym(handle, "jpeg_std_error");
    *(void**)&l->create = dlsym(handle, "jpeg_CreateDecompress");
    *(void**)&l->mem_src = dlsym(handle, "jpeg_mem_src");
    *(void**)&l->read_header = dlsym(handle, "jpeg_read_header");
    *(void**)&l->read_coefficients = dlsym(handle, "jpeg_read_coefficients");
    *(void**)&l->destroy = dlsym(handle, "jpeg_destroy_decompress");
    if (l->std_error && l->create && l->mem_src && l->read_header && l->read_coefficients && l->destroy) return l;
    free(l);
    return NULL;
}

static void copy_header(j_decompress_ptr cinfo, struct oracle_result* r) {
    int i;
    r->height = (int)cinfo->image_height;
    r->width = (int)cinfo->image_width;
    r->precision = cinfo->data_precision;
    r->color_space = cinfo->jpeg_color_space;
    r->progressive = cinfo->progressive_mode;
    r->arithmetic = cinfo->arith_code;
    r->restart_interval = (int)cinfo->restart_interval;
    r->component_count = cinfo->num_components;
    for (i = 0; i < r->component_count; i++) {
        jpeg_component_info* from = cinfo->comp_info + i;
        struct oracle_component* to = r->components + i;
        to->identifier = from->component_id;
        to->horizontal = from->h_samp_factor;
        to->vertical = from->v_samp_factor;
        to->blocks_high = (int)from->height_in_blocks;
        to->blocks_wide = (int)from->width_in_blocks;
    }
}

static void copy_planes(j_decompress_ptr cinfo, jvirt_barray_ptr* arrays, struct oracle_result* r) {
    int i, row;
    for (i = 0; i < r->component_count; i++) {
        struct oracle_component* to = r->components + i;
        JQUANT_TBL* table = cinfo->comp_info[i].quant_table;
        size_t row_bytes = (size_t)to->blocks_wide * 64 * sizeof(short);
        to->plane = malloc((size_t)to->blocks_high * row_bytes + 1);
        if (!to->plane) abort();
        for (row = 0; row < to->blocks_high; row++) {
            JBLOCKARRAY rows =
                cinfo->mem->access_virt_barray((j_common_ptr)cinfo, arrays[i], (JDIMENSION)row, 1, FALSE);
            memcpy((char*)to->plane + (size_t)row * row_bytes, rows[0], row_bytes);
        }
        to->table_latched = table != NULL;
        if (table) memcpy(to->table, table->quantval, sizeof to->table);
    }
}

struct oracle_result* oracle_read(void* library, const unsigned char* data, unsigned long size, long max_blocks,
                                  int max_scans) {
    struct library* l = library;
    struct oracle_result* r = calloc(1, sizeof *r);
    struct jpeg_decompress_struct cinfo;
    struct jpeg_progress_mgr progress;
    struct manager m;
    long blocks = 0;
    int i;
    if (!r) abort();
    memset(&cinfo, 0, sizeof cinfo);
    memset(&progress, 0, sizeof progress);
    cinfo.err = l->std_error(&m.base);
    m.base.error_exit = give_up;
    m.base.emit_message = note;
    m.result = r;
    m.scans_left = max_scans;
    if (setjmp(m.out)) {
        l->destroy(&cinfo);
        return r;
    }
    l->create(&cinfo, JPEG_LIB_VERSION, sizeof cinfo);
    progress.progress_monitor = count_scans;
    cinfo.progress = &progress;
    l->mem_src(&cinfo, data, size);
    l->read_header(&cinfo, TRUE);
    copy_header(&cinfo, r);
    r->stage = 1;
    for (i = 0; i < r->component_count; i++)
        blocks += (long)r->components[i].blocks_high * r->components[i].blocks_wide;
    if (blocks > max_blocks) {
        r->status = 2;
        l->destroy(&cinfo);
        return r;
    }
    copy_planes(&cinfo, l->read_coefficients(&cinfo), r);
    r->stage = 2;
    l->destroy(&cinfo);
    return r;
}

void oracle_free(struct oracle_result* r) {
    int i;
    if (!r) return;
    for (i = 0; i < MAX_COMPONENTS_READ; i++) free(r->components[i].plane);
    free(r);
}
