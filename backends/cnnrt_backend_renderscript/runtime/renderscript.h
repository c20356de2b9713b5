/* RenderScript for C: the part of its API that compute kernels use, for clang, whatever the processor.
 *
 * Included in front of a script. Types and functions are those of Android's rs_core.rsh and its relatives
 * (developer.android.com/guide/topics/renderscript/reference); an allocation's cells lie row by row without gaps.
 * With RS_CHECKED defined every access is checked; the first one beyond an allocation is noted in `rs_fault`, reads 0
 * and writes nothing. It is legal RenderScript itself, so that clang 14's front end can check scripts with it.
 */
#ifndef CNNRT_RENDERSCRIPT_H
#define CNNRT_RENDERSCRIPT_H

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
typedef __SIZE_TYPE__ size_t;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
#ifndef __cplusplus
#define bool _Bool
#define true 1
#define false 0
#endif

#define RS_VECTORS(T) \
    typedef T T##2 __attribute__((ext_vector_type(2))); \
    typedef T T##3 __attribute__((ext_vector_type(3))); \
    typedef T T##4 __attribute__((ext_vector_type(4)));
RS_VECTORS(float)
RS_VECTORS(int)
RS_VECTORS(uint)
RS_VECTORS(short)
RS_VECTORS(ushort)
RS_VECTORS(char)
RS_VECTORS(uchar)

/* What the runtime knows of an allocation; scripts only hand `rs_allocation` on. */
struct rs_allocation_data {
    void *data;
    uint32_t dim_x, dim_y, dim_z; /* 0: the allocation has no such dimension */
    uint32_t cell_bytes;
};
typedef struct {
    const struct rs_allocation_data *p;
} rs_allocation;

#define RS_API static inline __attribute__((overloadable, unused, always_inline))

RS_API uint32_t rsAllocationGetDimX(rs_allocation a) { return a.p->dim_x; }
RS_API uint32_t rsAllocationGetDimY(rs_allocation a) { return a.p->dim_y; }
RS_API uint32_t rsAllocationGetDimZ(rs_allocation a) { return a.p->dim_z; }
RS_API bool rsIsValid(rs_allocation a) { return a.p != 0; }

#ifdef RS_CHECKED
struct rs_fault {
    uint32_t count;
    uint32_t x, y, z, dim_x;
};
static struct rs_fault rs_fault;
static float rs_nowhere[4];
#endif

/* The address of a cell, or of `cells` cells from it on. Signed and as wide as a pointer, so that the compiler may keep
 * sums of indices in one register. */
RS_API void *rs_cell(rs_allocation a, long x, long y, long z, long cells, long bytes) {
    const struct rs_allocation_data *d = a.p;
    const long columns = d->dim_x, rows = d->dim_y ? d->dim_y : 1;
#ifdef RS_CHECKED
    const long planes = d->dim_z ? d->dim_z : 1;
    if (x < 0 || x + cells > columns || y < 0 || y >= rows || z < 0 || z >= planes || bytes != cells * (long)d->cell_bytes) {
        if (rs_fault.count++ == 0) {
            rs_fault.x = x;
            rs_fault.y = y;
            rs_fault.z = z;
            rs_fault.dim_x = columns;
        }
        for (int i = 0; i < 4; i++) rs_nowhere[i] = 0;
        return rs_nowhere;
    }
#endif
    return (char *)d->data + ((z * rows + y) * columns + x) * (bytes / cells);
}

#define RS_CELLS(T) \
    RS_API T rsGetElementAt_##T(rs_allocation a, long x) { return *(const T *)rs_cell(a, x, 0, 0, 1, sizeof(T)); } \
    RS_API T rsGetElementAt_##T(rs_allocation a, long x, long y) { return *(const T *)rs_cell(a, x, y, 0, 1, sizeof(T)); } \
    RS_API T rsGetElementAt_##T(rs_allocation a, long x, long y, long z) { return *(const T *)rs_cell(a, x, y, z, 1, sizeof(T)); } \
    RS_API void rsSetElementAt_##T(rs_allocation a, T v, long x) { *(T *)rs_cell(a, x, 0, 0, 1, sizeof(T)) = v; } \
    RS_API void rsSetElementAt_##T(rs_allocation a, T v, long x, long y) { *(T *)rs_cell(a, x, y, 0, 1, sizeof(T)) = v; } \
    RS_API void rsSetElementAt_##T(rs_allocation a, T v, long x, long y, long z) { *(T *)rs_cell(a, x, y, z, 1, sizeof(T)) = v; }
RS_CELLS(float)
RS_CELLS(float2)
RS_CELLS(float4)
RS_CELLS(int)
RS_CELLS(int2)
RS_CELLS(int4)
RS_CELLS(uint)
RS_CELLS(short)
RS_CELLS(ushort)
RS_CELLS(char)
RS_CELLS(uchar)
RS_CELLS(uchar4)

/* Vectors from and to allocations of single values, wherever they begin (API 22). */
typedef float4 rs_float4_anywhere __attribute__((aligned(4)));
RS_API float4 rsAllocationVLoadX_float4(rs_allocation a, long x) {
    return *(const rs_float4_anywhere *)rs_cell(a, x, 0, 0, 4, 4 * sizeof(float));
}
RS_API void rsAllocationVStoreX_float4(rs_allocation a, float4 v, long x) {
    *(rs_float4_anywhere *)rs_cell(a, x, 0, 0, 4, 4 * sizeof(float)) = v;
}

/* Mathematics: one value, and each value of a vector. */
#define RS_MATH1(NAME, BUILTIN) \
    RS_API float NAME(float v) { return BUILTIN(v); } \
    RS_API float2 NAME(float2 v) { float2 r; r.x = BUILTIN(v.x); r.y = BUILTIN(v.y); return r; } \
    RS_API float3 NAME(float3 v) { float3 r; r.x = BUILTIN(v.x); r.y = BUILTIN(v.y); r.z = BUILTIN(v.z); return r; } \
    RS_API float4 NAME(float4 v) { float4 r; r.x = BUILTIN(v.x); r.y = BUILTIN(v.y); r.z = BUILTIN(v.z); r.w = BUILTIN(v.w); return r; }
#define RS_MATH2(NAME, BUILTIN) \
    RS_API float NAME(float v, float w) { return BUILTIN(v, w); } \
    RS_API float2 NAME(float2 v, float2 w) { float2 r; r.x = BUILTIN(v.x, w.x); r.y = BUILTIN(v.y, w.y); return r; } \
    RS_API float3 NAME(float3 v, float3 w) { float3 r; r.x = BUILTIN(v.x, w.x); r.y = BUILTIN(v.y, w.y); r.z = BUILTIN(v.z, w.z); return r; } \
    RS_API float4 NAME(float4 v, float4 w) { float4 r; r.x = BUILTIN(v.x, w.x); r.y = BUILTIN(v.y, w.y); r.z = BUILTIN(v.z, w.z); r.w = BUILTIN(v.w, w.w); return r; }
RS_MATH1(sqrt, __builtin_sqrtf)
RS_MATH1(exp, __builtin_expf)
RS_MATH1(expm1, __builtin_expm1f)
RS_MATH1(log, __builtin_logf)
RS_MATH1(log1p, __builtin_log1pf)
RS_MATH1(tanh, __builtin_tanhf)
RS_MATH1(sin, __builtin_sinf)
RS_MATH1(cos, __builtin_cosf)
RS_MATH1(fabs, __builtin_fabsf)
RS_MATH1(floor, __builtin_floorf)
RS_MATH1(ceil, __builtin_ceilf)
RS_MATH2(pow, __builtin_powf)
RS_MATH2(fmax, __builtin_fmaxf)
RS_MATH2(fmin, __builtin_fminf)
RS_API float rsqrt(float v) { return 1.0f / __builtin_sqrtf(v); }
RS_API float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
RS_API float mad(float a, float b, float c) { return a * b + c; }
RS_API float4 mad(float4 a, float4 b, float4 c) { return a * b + c; }
RS_API float clamp(float v, float least, float most) { return v < least ? least : v > most ? most : v; }
RS_API int clamp(int v, int least, int most) { return v < least ? least : v > most ? most : v; }
RS_API int min(int a, int b) { return a < b ? a : b; }
RS_API int max(int a, int b) { return a > b ? a : b; }
RS_API uint min(uint a, uint b) { return a < b ? a : b; }
RS_API uint max(uint a, uint b) { return a > b ? a : b; }
RS_API float dot(float v, float w) { return v * w; }
RS_API float dot(float2 v, float2 w) { float2 p = v * w; return p.x + p.y; }
RS_API float dot(float3 v, float3 w) { float3 p = v * w; return p.x + p.y + p.z; }
RS_API float dot(float4 v, float4 w) { float4 p = v * w; return (p.x + p.y) + (p.z + p.w); }

#endif
