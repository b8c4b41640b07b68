// What llama.cpp itself would take on each device, of a context that was made without allocating: its breakdown is a
// C++ map, which ctypes cannot read. Both functions come as pointers, so that nothing has to be linked.
#include <cstddef>
#include <cstdio>
#include <map>

struct Data { size_t model, context, compute; };  // llama-ext.h: llama_memory_breakdown_data
typedef std::map<void*, Data> Map;

extern "C" int breakdown(Map (*of)(const void*), const char* (*name)(void*), const void* context, char* out, int n) {
    int at = 0;
    for (auto& [type, data] : of(context))
        at += snprintf(out + at, n - at, "%s %zu %zu %zu\n", name(type), data.model, data.context, data.compute);
    return at;
}
