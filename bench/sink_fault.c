/* The names of faults, from faults.def. sink.c and sink_control.c read them. Pure. */
#include "bench/sink_fault.h"

#include <stddef.h>

static const char *const fault_names[] = {
#define FAULT(name, text) #name,
#include "bench/faults.def"
#undef FAULT
};

const char *fault_name(enum fault fault) {
    return fault_names[fault];
}

bool fault_parse(const char *name, enum fault *ret_fault) {
    for (unsigned i = 0; i < FAULTS_COUNT; i++) {
        size_t at = 0;
        while (name[at] != '\0' && (fault_names[i][at] == name[at] || (name[at] == '-' && fault_names[i][at] == '_')))
            at++;
        if (name[at] == '\0' && fault_names[i][at] == '\0') {
            *ret_fault = (enum fault)i;
            return true;
        }
    }
    return false;
}
