/* DNS answers: any octets, as each type of question. */
#include "tests/fuzz/fuzz.h"

#include "lb/dns/resolver.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_PTR, DNS_MX};
    if (size > 65535)
        return 0;
    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct dns_answer answer;
        dns_read_reply(types[i], data, (int)size, &(struct dns_wanted){NULL, NULL}, &answer);
        MUST((answer.status == DNS_FOUND) == (answer.count > 0));
        MUST(answer.status == DNS_FOUND || answer.error != NULL);
        MUST(!answer.is_null_mx || (types[i] == DNS_MX && answer.count == 1));
        bool has_names = types[i] == DNS_PTR || types[i] == DNS_MX;
        for (unsigned name = 0; has_names && answer.status == DNS_FOUND && name < answer.count; name++)
            MUST(memchr(answer.names[name], '\0', sizeof answer.names[name]) != NULL);
    }
    return 0;
}
