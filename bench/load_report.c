/* The result of a load as one JSON object. load.c prints it at the end. Pure. */
#include "bench/load_report.h"

static const char *const outcome_names[] = {"accepted", "tempfailed", "refused", "dropped", "timed_out"};
static const char *const phase_names[] = {
#define PHASE(constant, name) name,
    LOAD_PHASES(PHASE)
#undef PHASE
};

static void write_histogram(FILE *file, const char *name, const struct histogram *histogram) {
    static const struct {
        const char *name;
        double part;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    fprintf(file, "\"%s_ms\":{", name);
    for (unsigned i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
        fprintf(file, "\"%s\":%.3f,", quantiles[i].name,
                (double)histogram_quantile(histogram, quantiles[i].part) / 1000);
    fprintf(file, "\"max\":%.3f},", (double)histogram->max / 1000);
}

static void write_phases(FILE *file, const struct load_result *result, enum outcome outcome) {
    const char *comma = "";
    fprintf(file, "\"%s_at\":{", outcome_names[outcome]);
    for (unsigned phase = 0; phase < PHASES; phase++) {
        if (result->by_phase[outcome][phase] == 0)
            continue;
        fprintf(file, "%s\"%s\":%llu", comma, phase_names[phase], (unsigned long long)result->by_phase[outcome][phase]);
        comma = ",";
    }
    fputs("},", file);
}

/* What a peer said may be anything. */
static void write_text(FILE *file, const char *text) {
    putc('"', file);
    for (; *text != '\0'; text++)
        putc(*text < ' ' || *text > '~' || *text == '"' || *text == '\\' ? '?' : *text, file);
    putc('"', file);
}

void load_report(FILE *file, const struct load_result *result) {
    double per_session = result->finished == 0 ? 0 : 1 / (double)result->finished;
    fprintf(file, "{\"sessions\":%llu,", (unsigned long long)result->finished);
    for (unsigned outcome = 0; outcome < OUTCOMES; outcome++)
        fprintf(file, "\"%s\":%llu,", outcome_names[outcome], (unsigned long long)result->by_outcome[outcome]);
    for (unsigned outcome = TEMPFAILED; outcome < OUTCOMES; outcome++)
        write_phases(file, result, (enum outcome)outcome);
    write_histogram(file, "connect", &result->connect);
    write_histogram(file, "greeting", &result->greeting);
    write_histogram(file, "session", &result->session);
    fprintf(file, "\"mails\":%llu,\"encrypted\":%llu,\"mail_octets\":%llu,\"last_hash\":\"%016llx\",\"last_reply\":",
            (unsigned long long)result->mails, (unsigned long long)result->encrypted,
            (unsigned long long)result->mail_octets, (unsigned long long)result->mail_hash);
    write_text(file, result->last_reply);
    fprintf(file, ",\"seconds\":%.3f,\"sessions_per_s\":%.1f,\"cpu_us_per_session\":%.1f}\n", result->seconds,
            result->seconds > 0 ? (double)result->finished / result->seconds : 0, result->cpu_us * per_session);
}
