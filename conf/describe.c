/* An option's value as text, and a description of what the option allows, with one case for each type. Every message
 * about an option, `postern -T` and the man page take both from here, so that they say the same. Owns nothing. */
#include "conf/describe.h"

#include "conf/text_form.h"

#include <string.h>

/* --- one value --- */

static void print_duration(uint64_t ms, FILE *out) {
    static const struct {
        uint64_t factor;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (ms == 0 ? i < 3 : ms % units[i].factor != 0)
        i++;
    fprintf(out, "%llu%s", (unsigned long long)(ms / units[i].factor), units[i].name);
}

/* IPv6 in brackets, so that its last group is no port. */
static void print_host(const struct address *address, FILE *out) {
    char text[ADDRESS_TEXT_MAX];
    bool is_ipv6 = address->sa.sa_family == AF_INET6;
    fprintf(out, "%s%s%s", is_ipv6 ? "[" : "", address_format_host(address, text), is_ipv6 ? "]" : "");
}

static void print_addresses(const struct address_list *list, bool with_port, FILE *out) {
    char text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < list->count; i++) {
        fputs(i > 0 ? " " : "", out);
        if (with_port)
            fputs(address_format(&list->items[i], text), out);
        else
            print_host(&list->items[i], out);
    }
}

static void print_cidrs(const struct cidr_list *list, FILE *out) {
    char text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < list->count; i++)
        fprintf(out, "%s%s/%u", i > 0 ? " " : "", address_format_host(&list->items[i].base, text),
                list->items[i].prefix_bits);
}

static void print_words(const struct word_list *list, FILE *out) {
    for (size_t i = 0; i < list->count; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", list->items[i]);
}

static void print_rate(const struct rate *rate, FILE *out) {
    fprintf(out, "%u", rate->events);
    if (rate->events == 0)
        return;
    fputc('/', out);
    print_duration(rate->period_ms, out);
}

void option_print(const struct option *option, const void *section_data, FILE *out) {
    const void *field = (const char *)section_data + option->offset;
    char text[ADDRESS_TEXT_MAX];
    switch (option->type) {
    case OPTION_HOSTNAME:
    case OPTION_ZONE:
    case OPTION_PATH:
    case OPTION_LOG:
    case OPTION_USER:
    case OPTION_SECTION:
    case OPTION_MAILBOX:
    case OPTION_SENDER:
    case OPTION_DELIMITERS:
        fputs(*(char *const *)field, out);
        break;
    case OPTION_BOOL:
        fputs(*(const bool *)field ? "yes" : "no", out);
        break;
    case OPTION_WORD_OF:
        fputs(option->words[*(const unsigned *)field], out);
        break;
    case OPTION_NUMBER:
        if ((option->flags & OPTION_AUTO) && *(const uint32_t *)field == 0)
            fputs("auto", out);
        else
            fprintf(out, "%u", *(const uint32_t *)field);
        break;
    case OPTION_OCTAL:
        fprintf(out, "%04o", *(const uint32_t *)field);
        break;
    case OPTION_DURATION:
        print_duration(*(const uint64_t *)field, out);
        break;
    case OPTION_SIZE:
        fprintf(out, "%llu", *(const unsigned long long *)field);
        break;
    case OPTION_RATE:
        print_rate(field, out);
        break;
    case OPTION_ADDRESSES:
    case OPTION_HOSTS:
        print_addresses(field, option->type == OPTION_ADDRESSES, out);
        break;
    case OPTION_CIDRS:
        print_cidrs(field, out);
        break;
    case OPTION_WORDS:
        print_words(field, out);
        break;
    case OPTION_ENDPOINT: {
        const struct config_backend *backend = section_data;
        if (backend->host_is_name)
            fprintf(out, "%s:%u", backend->host, backend->port);
        else
            fputs(address_format(&backend->address, text), out);
        break;
    }
    }
}

/* --- what is allowed --- */

static void describe_words(const struct option *option, FILE *out) {
    for (size_t i = 0; option->words[i] != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? " | " : "", option->words[i]);
}

/* That of the examples in the documents where there is no default. */
static unsigned example_port(const struct option *option) {
    if (option->default_port != 0)
        return option->default_port;
    return option->section == SECTION_FEEDBACK ? 8026 : 8025;
}

static void describe(const struct option *option, FILE *out) {
    switch (option->type) {
    case OPTION_HOSTNAME:
    case OPTION_ZONE:
    case OPTION_PATH:
    case OPTION_LOG:
    case OPTION_USER:
    case OPTION_SECTION:
    case OPTION_MAILBOX:
    case OPTION_SENDER:
    case OPTION_DELIMITERS:
        fputs(text_form_name(option->type), out);
        if (option->max != 0)
            fprintf(out, ", at most %llu octets", (unsigned long long)option->max);
        break;
    case OPTION_BOOL:
        fputs("yes | no | on | off", out);
        break;
    case OPTION_WORD_OF:
        describe_words(option, out);
        break;
    case OPTION_NUMBER:
        fprintf(out, "%sa number from %llu to %llu", option->flags & OPTION_AUTO ? "auto, or " : "",
                (unsigned long long)(option->flags & OPTION_AUTO ? 1 : option->min), (unsigned long long)option->max);
        break;
    case OPTION_OCTAL:
        fputs("a file mode in octal, as 0660", out);
        break;
    case OPTION_DURATION:
        fputs("a duration with its unit (500ms, 2s, 5m, 1h, 7d) from ", out);
        print_duration(option->min, out);
        fputs(" to ", out);
        print_duration(option->max, out);
        break;
    case OPTION_SIZE:
        fputs("octets, or with K, M or G (15M)", out);
        break;
    case OPTION_RATE:
        fputs("a rate as 30/1m, of 1000000 and 1d at most, or 0 for off", out);
        break;
    case OPTION_ADDRESSES:
        fprintf(out, "%s as 192.0.2.1:%u or [2001:db8::1]:%u", option->flags & OPTION_ONE ? "an address" : "addresses",
                example_port(option), example_port(option));
        break;
    case OPTION_HOSTS:
        fputs("addresses without port, as 192.0.2.1 or 2001:db8::1", out);
        break;
    case OPTION_CIDRS:
        fputs("networks as 192.0.2.0/24 or 2001:db8::/32, with no bits set behind the prefix", out);
        break;
    case OPTION_WORDS:
        fputs("words, separated by spaces", out);
        break;
    case OPTION_ENDPOINT:
        fputs("an address as 192.0.2.11:25 or [2001:db8::11]:25, or a name as vm1.example.net:25", out);
        break;
    }
}

void option_describe(const struct option *option, char *ret_text, size_t text_size) {
    ret_text[0] = '\0';
    FILE *out = fmemopen(ret_text, text_size, "w");
    if (out == NULL)
        return;
    describe(option, out);
    fclose(out);
    ret_text[text_size - 1] = '\0';
}
