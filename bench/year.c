/* year: a simulated year of mail through the reputation's own code, and what the strict host would have met.
 *
 *   year [--seed N] [--days N]
 *
 * Senders of many kinds send for a year; each evening the table is swept as postern does. Every day is also taken as if
 * the primaries had failed on it: whose mail would the strict host have got? Prints how many of each kind are vetted,
 * what was met, and whether the goals of lb/reputation/YEAR.md hold; exit 1 when one does not. */
#include "lb/base/chance.h"
#include "lb/reputation/rdns.h"
#include "lb/reputation/reputation.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_ZERO 20000u
#define DAY_S    86400u
/* Of bad mail, how much the filter finds; what it misses looks clean. */
#define CAUGHT_PER_MILLE 950u
/* Of honest mail, how much it takes for bad. */
#define MISTAKEN_PER_MILLE 1u

enum kind { DAILY, WEEKLY, POOL, NEWSLETTER, BOT, FARMER, HIJACKED, KINDS };

static const struct {
    const char *name;
    unsigned count;
} kinds[KINDS] = {
    [DAILY] = {"daily senders", 2000},      [WEEKLY] = {"weekly senders", 2000}, [POOL] = {"provider pool", 200},
    [NEWSLETTER] = {"newsletters", 50},     [BOT] = {"botnet", 100000},          [FARMER] = {"farmers", 500},
    [HIJACKED] = {"hijacked senders", 100},
};

struct sender {
    enum kind kind;
    struct address address;
    uint64_t key;
    unsigned born;     /* the first day */
    unsigned bad_from; /* a farmer's attack, a hijacked sender's bad days: [bad_from, bad_until) */
    unsigned bad_until;
    unsigned spams; /* sent in those days while still vetted */
};

/* One day's mails of one side, and those of them that an outage would have let through. */
struct met {
    uint64_t good, good_served, bad, bad_served;
};

static struct reputation reputation;
static struct sender *senders;
static unsigned senders_count;
static struct chance chance;
static uint64_t events;
static unsigned today;

static unsigned below(unsigned limit) {
    return (unsigned)((chance_bits(&chance) >> 33) % limit);
}

static bool happens(unsigned per_mille) {
    return below(1000) < per_mille;
}

/* --- who sends --- */

static struct address ipv4(uint32_t value) {
    return (struct address){.in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(value)}};
}

static void add(enum kind kind, uint32_t address, unsigned born) {
    struct sender *sender = &senders[senders_count++];
    *sender = (struct sender){.kind = kind, .address = ipv4(address), .born = born, .bad_from = UINT32_MAX};
    sender->key = reputation_key(&sender->address);
}

/* Seven in ten of the small ones stand ten to a /24 with others of their kind, at a hoster; the rest alone. */
static uint32_t small_address(uint32_t base, unsigned number) {
    return number % 10 < 7 ? base + number / 10 * 256 + number % 10 : base + 0x100000 + number * 256 + 25;
}

static void make_senders(void) {
    unsigned all = 0;
    for (unsigned kind = 0; kind < KINDS; kind++)
        all += kinds[kind].count;
    senders = calloc(all, sizeof *senders);
    if (senders == NULL)
        exit(2);
    for (unsigned i = 0; i < kinds[DAILY].count; i++)
        add(DAILY, small_address(0x0a000000, i), below(20));
    for (unsigned i = 0; i < kinds[WEEKLY].count; i++)
        add(WEEKLY, small_address(0x14000000, i), below(20));
    for (unsigned i = 0; i < kinds[POOL].count; i++)
        add(POOL, 0x1e000000 + i % 8 * 256 + i / 8, 0);
    for (unsigned i = 0; i < kinds[NEWSLETTER].count; i++)
        add(NEWSLETTER, 0x28000000 + i * 256, 0);
    for (unsigned i = 0; i < kinds[BOT].count; i++)
        add(BOT, 0x32000000 + (uint32_t)(chance_bits(&chance) >> 40), below(365));
    for (unsigned i = 0; i < kinds[FARMER].count; i++) {
        add(FARMER, 0x3c000000 + i % 5 * 256 + i / 5, 60);
        senders[senders_count - 1].bad_from = 150;
        senders[senders_count - 1].bad_until = UINT32_MAX;
    }
    for (unsigned i = 0; i < kinds[HIJACKED].count; i++) {
        add(HIJACKED, small_address(0x46000000, i), 0);
        senders[senders_count - 1].bad_from = 100 + below(200);
        senders[senders_count - 1].bad_until = senders[senders_count - 1].bad_from + 3;
    }
}

/* --- what they do --- */

static uint32_t at(unsigned day) {
    return (DAY_ZERO + day) * DAY_S + 43200;
}

static void look_up(const struct sender *sender, unsigned day) {
    struct dns_findings findings = {.has_name_answer = true, .name = NAME_CONFIRMED, .ttl_s = 86400};
    unsigned number = (unsigned)(sender - senders);
    if (sender->kind == BOT)
        findings.name = number % 2 == 0 ? NAME_NONE : NAME_CONFIRMED;
    uint32_t value = ntohl(sender->address.in4.sin_addr.s_addr);
    if (sender->kind == BOT)
        snprintf(findings.confirmed, sizeof findings.confirmed, "host-%u-%u-%u-%u.dyn.isp.example", value >> 24,
                 value >> 16 & 255, value >> 8 & 255, value & 255);
    else if (sender->kind == POOL || sender->kind == FARMER)
        snprintf(findings.confirmed, sizeof findings.confirmed, "out.%s.example",
                 sender->kind == POOL ? "provider" : "farm");
    else
        snprintf(findings.confirmed, sizeof findings.confirmed, "mx.sender%u.example", number);
    reputation_take_findings(&reputation, sender->key, (uint64_t)(sender - senders), &findings, at(day));
}

/* The DNS answers at once. A sender's number goes through the reputation as its host. */
static void on_wants_lookup(void *context, uint64_t key, uint64_t host) {
    (void)context;
    (void)key;
    look_up(&senders[host], today);
}

static bool is_vetted(const struct sender *sender) {
    return reputation_table_is_vetted(&reputation.table, sender->key, (uint64_t)(sender - senders));
}

/* A session with one mail. */
static void send_mail(struct sender *sender, bool is_spam, unsigned day, struct met *met) {
    bool is_served = is_vetted(sender), is_rejected = happens(is_spam ? CAUGHT_PER_MILLE : MISTAKEN_PER_MILLE);
    struct sighting sighting = {.key = sender->key,
                                .host = (uint64_t)(sender - senders),
                                .clean = !is_rejected,
                                .rejected = is_rejected,
                                .recipients = 1,
                                .has_talked_early = sender->kind == BOT && happens(300)};
    *(is_spam ? &met->bad : &met->good) += 1;
    if (is_served)
        *(is_spam ? &met->bad_served : &met->good_served) += 1;
    sender->spams += is_spam && is_served && day >= sender->bad_from;
    reputation_take(&reputation, &sighting, at(day));
    events++;
}

static void send_many(struct sender *sender, unsigned mails, unsigned spam_per_mille, unsigned day, struct met *met) {
    for (unsigned i = 0; i < mails; i++)
        send_mail(sender, happens(spam_per_mille), day, met);
}

static void live_a_day(struct sender *sender, unsigned day, struct met *met) {
    bool is_bad = day >= sender->bad_from && day < sender->bad_until;
    if (day < sender->born)
        return;
    switch (sender->kind) {
    case DAILY:
        send_many(sender, 1 + below(5), 0, day, met);
        break;
    case WEEKLY:
        send_many(sender, (day - sender->born) % 7 == 0, 0, day, met);
        break;
    case POOL:
        send_many(sender, 100, 5, day, met);
        break;
    case NEWSLETTER:
        send_many(sender, day % 7 == 2 ? 500 : 0, 0, day, met);
        break;
    case BOT:
        send_many(sender, day == sender->born ? 1 + below(3) : 0, 1000, day, met);
        break;
    case FARMER:
        send_many(sender, is_bad ? 50 : 2, is_bad ? 1000 : 0, day, met);
        break;
    case HIJACKED:
        send_many(sender, is_bad ? 200 : 1 + below(5), is_bad ? 1000 : 0, day, met);
        break;
    case KINDS:
        break;
    }
}

static void sweep(unsigned day) {
    for (unsigned pass = reputation.parents.pass; pass == reputation.parents.pass;)
        reputation_sweep(&reputation, 1u << 12, at(day));
}

/* --- what is told --- */

static unsigned count_vetted(enum kind kind) {
    unsigned vetted = 0;
    for (unsigned i = 0; i < senders_count; i++)
        vetted += senders[i].kind == kind && is_vetted(&senders[i]);
    return vetted;
}

static void print_header(void) {
    printf("vetted by the evening of a day, in 100 of each kind (botnet: addresses), and mails that an outage on that "
           "day would have brought to the strict host\n\n| day |");
    for (unsigned kind = 0; kind < KINDS; kind++)
        printf(" %s |", kinds[kind].name);
    printf(" good mail served | bad mail served |\n|---|");
    for (unsigned kind = 0; kind < KINDS + 2; kind++)
        printf("---|");
    printf("\n");
}

static void print_day(unsigned day, const struct met *met) {
    printf("| %u |", day);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        unsigned vetted = count_vetted((enum kind)kind);
        if (kind == BOT)
            printf(" %u |", vetted);
        else
            printf(" %.1f |", 100.0 * vetted / kinds[kind].count);
    }
    printf(" %llu of %llu | %llu of %llu |\n", (unsigned long long)met->good_served, (unsigned long long)met->good,
           (unsigned long long)met->bad_served, (unsigned long long)met->bad);
}

static bool goal(const char *text, bool holds, double figure) {
    printf("- %s: %.1f: %s\n", text, figure, holds ? "holds" : "DOES NOT HOLD");
    return holds;
}

static bool check_goals(unsigned bots_ever, double daily_at_80, double pool_at_80) {
    unsigned most[KINDS] = {0}, still = 0;
    for (unsigned i = 0; i < senders_count; i++) {
        const struct sender *sender = &senders[i];
        most[sender->kind] = sender->spams > most[sender->kind] ? sender->spams : most[sender->kind];
        still += sender->kind == FARMER && is_vetted(sender);
    }
    printf("\ngoals\n\n");
    bool holds = goal("botnet addresses ever vetted, 0", bots_ever == 0, bots_ever);
    holds &= goal("daily senders vetted after 60 days, in 100, 90 at least", daily_at_80 >= 90, daily_at_80);
    holds &= goal("provider's addresses vetted after 60 days, in 100, 95 at least", pool_at_80 >= 95, pool_at_80);
    holds &= goal("spams of one hijacked sender while vetted, 10 at most", most[HIJACKED] <= 10, most[HIJACKED]);
    holds &= goal("spams of one farmer while vetted, 10 at most", most[FARMER] <= 10, most[FARMER]);
    holds &= goal("farmers vetted at the end, 0", still == 0, still);
    return holds;
}

static bool is_shown(unsigned day) {
    static const unsigned days[] = {7, 15, 30, 60, 80, 100, 149, 150, 151, 180, 240, 300, 364};
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++)
        if (days[i] == day)
            return true;
    return false;
}

int main(int argc, char **argv) {
    unsigned days = 365, bots_ever = 0;
    uint64_t seed = 1;
    double daily_at_80 = 0, pool_at_80 = 0;
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'}, {"days", required_argument, NULL, 'd'}, {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            return 2;
        *(option == 's' ? &seed : &(uint64_t){0}) = strtoull(optarg, NULL, 10);
        if (option == 'd')
            days = (unsigned)strtoul(optarg, NULL, 10);
    }
    /* postern's defaults, but for a table that fits the year. */
    static struct config config = {.reputation = {.enabled = true,
                                                  .score_min = 90,
                                                  .days_min = 3,
                                                  .age_min_ms = 7ull * DAY_S * 1000,
                                                  .good_half_life_ms = 60ull * DAY_S * 1000,
                                                  .good_per_day = 2,
                                                  .bad_half_life_ms = 90ull * DAY_S * 1000,
                                                  .entries_max = 250000,
                                                  .require_fcrdns = true}};
    chance_init(&chance, seed - 1); /* seeds are counted from 1 here */
    if (reputation_init(&reputation, &config, at(0)) < 0)
        return 2;
    reputation.wants_lookup = on_wants_lookup;
    setlinebuf(stdout);
    make_senders();
    print_header();
    for (unsigned day = 0; day < days; day++) {
        struct met met = {0};
        today = day;
        for (unsigned i = 0; i < senders_count; i++)
            live_a_day(&senders[i], day, &met);
        sweep(day);
        unsigned bots = count_vetted(BOT);
        bots_ever = bots > bots_ever ? bots : bots_ever;
        if (day == 80) {
            daily_at_80 = 100.0 * count_vetted(DAILY) / kinds[DAILY].count;
            pool_at_80 = 100.0 * count_vetted(POOL) / kinds[POOL].count;
        }
        if (is_shown(day))
            print_day(day, &met);
    }
    bool holds = check_goals(bots_ever, daily_at_80, pool_at_80);
    printf("\n%llu mails, %u clients in the table, %llu dropped for others\n", (unsigned long long)events,
           reputation.table.count, (unsigned long long)reputation.table.dropped);
    reputation_finish(&reputation);
    free(senders);
    return holds ? 0 : 1;
}
