/* PROXY headers: a header is the same however much follows it, no beginning of it is taken for one, and what we write
 * we can read. */
#include "backends/proxy.h"

#include "tests/fuzz/fuzz.h"

static int parse(const uint8_t *data, size_t size, struct proxy_header *ret_header) {
    uint8_t *copy = fuzz_copy(data, size);
    int result = proxy_parse(copy, size, ret_header);
    free(copy);
    MUST(result <= (int)size);
    return result;
}

static void assert_round_trip(const struct proxy_header *header, bool is_v2) {
    uint8_t out[PROXY_V1_MAX > PROXY_V2_MAX ? PROXY_V1_MAX : PROXY_V2_MAX];
    struct proxy_header again;
    size_t length = is_v2 ? proxy_encode_v2(&header->source, &header->destination, out)
                          : proxy_encode_v1(&header->source, &header->destination, out);
    MUST(length <= (is_v2 ? PROXY_V2_MAX : PROXY_V1_MAX));
    MUST(parse(out, length, &again) == (int)length);
    MUST(again.is_proxied && address_equal(&again.source, &header->source));
    MUST(address_equal(&again.destination, &header->destination));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct proxy_header header, shorter;
    int result = parse(data, size, &header);
    if (result <= 0)
        return 0;
    for (int length = 0; length < result; length++)
        MUST(parse(data, (size_t)length, &shorter) == 0);
    MUST(parse(data, (size_t)result, &shorter) == result && shorter.is_proxied == header.is_proxied);
    if (!header.is_proxied)
        return 0;
    assert_round_trip(&header, true);
    assert_round_trip(&header, false);
    return 0;
}
