/* Whether a client is vetted: the DNS's part, the neighbours' part, and the verdict that they make with a client's own
 * evidence. reputation.c decides by it; the control socket asks why. Owns nothing; it writes verdicts into the table.
 */
#include "lb/reputation/vetting.h"

#include "lb/base/hash.h"
#include "lb/reputation/hosts.h"

/* A parent speaks for a child when so many others belong to it. */
#define PARENT_OTHERS_MIN 3u
#define PARENT_CONFIDENCE 0.05
/* Below this bound a parent's prior is worse than none. That is right where it has earned it, and not where only little
 * is known yet: then it takes at least this share of bad evidence. */
#define PARENT_HELPS_FROM 0.84
#define PARENT_BAD_SHARE  0.02

/* Whose new addresses are admitted on its own good name. */
#define PROVIDER_BOUND        0.95
#define PROVIDER_VETTED_MIN   20u
#define PROVIDER_NETWORKS_MIN 5u
#define PROVIDER_DAYS_MIN     60u

/* --- the DNS's part of a verdict --- */

/* Of one client: an address with results of its own, or all others. */
struct part {
    struct client_dns dns;
    bool is_own;
};

static struct part part_of(const struct client *client, uint64_t host, uint32_t now_s) {
    const struct client_dns *own = hosts_find(client, host);
    if (own != NULL)
        return (struct part){*own, true};
    return (struct part){hosts_of_others(client, now_s), false};
}

static bool judges(const struct dnslist *list, enum dnslist_action action) {
    return list->state != DNSLIST_OFF && list->config->action == action;
}

uint16_t vetting_vetoes(const struct reputation *reputation) {
    unsigned mask = 0;
    for (unsigned i = 0; i < reputation->lists_count; i++)
        mask |= (unsigned)judges(&reputation->lists[i], DNSLIST_VETO) << i;
    return (uint16_t)mask;
}

static void look_at_lists(const struct reputation *reputation, const struct part *part, uint32_t now_s,
                          struct vetting *vetting) {
    const struct client_dns *dns = &part->dns;
    uint16_t vetoing = vetting_vetoes(reputation);
    vetting->has_list_answers = vetoing == 0 || result_is_recent(dns->lists_s, now_s);
    vetting->vetoes = dns->listed & vetoing;
    for (unsigned i = 0; i < reputation->lists_count; i++)
        if (part->is_own && judges(&reputation->lists[i], DNSLIST_HALVE) && (dns->listed >> i & 1u) != 0 &&
            result_is_recent(dns->lists_s, now_s))
            vetting->is_halved = dns->name == NAME_CONFIRMED;
}

uint32_t vetting_domain_number(const char *domain) {
    uint32_t hash = hash_text_narrow(domain);
    return hash != 0 ? hash : 1;
}

/* The domain by which it was allowed still stands in the file. */
static bool is_allowed(const struct reputation *reputation, const struct client_dns *dns) {
    const struct access *access = reputation->access;
    for (size_t i = 0; dns->allowed_by != 0 && access != NULL && i < access->allowed.domains.count; i++)
        if (vetting_domain_number(access->allowed.domains.items[i]) == dns->allowed_by)
            return true;
    return false;
}

static void look_at_dns(const struct reputation *reputation, const struct part *part, uint32_t now_s,
                        struct vetting *vetting) {
    const struct client_dns *dns = &part->dns;
    vetting->has_name_answer = result_is_recent(dns->name_s, now_s);
    bool is_confirmed = vetting->has_name_answer && dns->name == NAME_CONFIRMED;
    vetting->has_fcrdns = is_confirmed || !reputation->config->require_fcrdns;
    vetting->is_by_file = is_confirmed && is_allowed(reputation, dns);
    look_at_lists(reputation, part, now_s, vetting);
}

/* --- the neighbours' part --- */

/* The lower bound of what the others of a parent are worth; negative: too few of them. */
static double bound_of(const struct reputation *reputation, uint64_t parent, double own_good, double own_bad,
                       struct parent_sums *ret_sums, bool *ret_is_bad) {
    if (parent == 0 || !parents_find(&reputation->parents, parent, ret_sums) ||
        ret_sums->children < PARENT_OTHERS_MIN + 1)
        return -1;
    double good = (double)ret_sums->good > own_good ? (double)ret_sums->good - own_good : 0;
    double bad = (double)ret_sums->bad > own_bad ? (double)ret_sums->bad - own_bad : 0;
    *ret_is_bad = bad > PARENT_BAD_SHARE * (good + bad);
    return beta_quantile(PARENT_CONFIDENCE, 1 + good, 1 + bad);
}

static bool is_big_provider(const struct parent_sums *sums, double bound, uint16_t today) {
    return bound >= PROVIDER_BOUND && sums->vetted >= PROVIDER_VETTED_MIN &&
           parents_networks(sums) >= PROVIDER_NETWORKS_MIN && today >= sums->first_day + PROVIDER_DAYS_MIN;
}

static void look_at_parents(const struct reputation *reputation, uint64_t key, const struct client_dns *dns,
                            const struct evidence *evidence, struct vetting *vetting) {
    uint64_t parents[] = {parent_of_network(key), vetting->has_name_answer ? dns->domain : 0};
    double good, bad;
    evidence_totals(evidence, reputation->config, &good, &bad);
    vetting->parent_bound = -1;
    for (unsigned i = 0; i < 2; i++) {
        struct parent_sums sums;
        bool is_bad = false;
        double bound = bound_of(reputation, parents[i], good, bad, &sums, &is_bad);
        if (bound < 0)
            continue;
        if (i == 1 && bad <= 0 && is_big_provider(&sums, bound, evidence->day))
            vetting->is_by_provider = true;
        if (bound > vetting->parent_bound && (is_bad || bound >= PARENT_HELPS_FROM)) {
            vetting->parent = parents[i];
            vetting->parent_bound = bound;
        }
    }
    vetting->prior = prior_of_parent(vetting->parent_bound);
}

/* --- the verdict --- */

static double good_factor(const struct vetting *vetting) {
    return vetting->is_halved ? 2 : 1;
}

static bool dns_allows(const struct vetting *vetting) {
    return vetting->has_fcrdns && vetting->has_list_answers && vetting->vetoes == 0;
}

/* Every part but the neighbours' and the score's, which cost a hundred times as much. Returns false when they can't
 * change anything any more. */
static bool look_cheaply(const struct reputation *reputation, const struct client *client, const struct part *part,
                         uint32_t now_s, struct evidence *ret_evidence, struct vetting *vetting) {
    *ret_evidence = client->evidence;
    *vetting = (struct vetting){.parent_bound = -1, .prior = prior_of_parent(-1)};
    if (ret_evidence->days == 0)
        ret_evidence->day = ret_evidence->first_day = reputation_day(now_s);
    evidence_advance(ret_evidence, reputation_day(now_s), reputation->config);
    bool is_good = evidence_check(ret_evidence, reputation->config, &vetting->own);
    look_at_dns(reputation, part, now_s, vetting);
    vetting->is_vetted = client->decree == DECREE_VETTED || (client->decree == DECREE_NONE && vetting->is_by_file);
    if (vetting->is_vetted || client->decree == DECREE_REFUSED)
        return false;
    return dns_allows(vetting) && (is_good || (vetting->has_name_answer && part->dns.domain != 0));
}

static void look_dearly(const struct reputation *reputation, uint64_t key, const struct client *client,
                        const struct part *part, const struct evidence *evidence, struct vetting *vetting) {
    look_at_parents(reputation, key, &part->dns, evidence, vetting);
    vetting->is_by_provider = vetting->is_by_provider && vetting->has_name_answer && part->dns.name == NAME_CONFIRMED;
    vetting->has_score = score_reaches(evidence, vetting->prior, good_factor(vetting), reputation->config);
    bool is_by_itself =
        vetting->has_score && vetting->own.has_days && vetting->own.has_age && vetting->own.has_clean_month;
    if (client->decree == DECREE_NONE && dns_allows(vetting))
        vetting->is_vetted = vetting->is_vetted || is_by_itself || vetting->is_by_provider;
}

/* Returns true when it took the whole arithmetic. */
static bool decide_part(const struct reputation *reputation, uint64_t key, const struct client *client,
                        const struct part *part, uint32_t now_s, struct vetting *ret_vetting) {
    struct evidence evidence;
    bool is_dear = look_cheaply(reputation, client, part, now_s, &evidence, ret_vetting);
    if (is_dear)
        look_dearly(reputation, key, client, part, &evidence, ret_vetting);
    return is_dear;
}

unsigned vetting_decide(struct reputation *reputation, uint64_t key, struct client *client, uint32_t now_s,
                        struct vetting *ret_vetting) {
    unsigned dear = 0, verdict = 0;
    if (!reputation_key_is_ipv4(key) || !client->dns[0].is_used) { /* of an IPv4 client there are no others */
        struct part others = {hosts_of_others(client, now_s), false};
        dear += decide_part(reputation, key, client, &others, now_s, ret_vetting);
        verdict |= ret_vetting->is_vetted ? VERDICT_OTHERS : 0;
    }
    for (unsigned i = 0; i < CLIENT_HOSTS; i++) {
        struct part own = {client->dns[i], true};
        if (!own.dns.is_used)
            continue;
        dear += decide_part(reputation, key, client, &own, now_s, ret_vetting);
        verdict |= VERDICT_KNOWN(i) | (ret_vetting->is_vetted ? VERDICT_HOST(i) : 0);
    }
    ret_vetting->is_vetted = (verdict & VERDICT_VETTED) != 0;
    reputation_table_set_verdict(&reputation->table, client, (uint8_t)verdict);
    return dear;
}

void reputation_explain(const struct reputation *reputation, uint64_t key, uint64_t host, const struct client *client,
                        uint32_t now_s, struct vetting *ret_vetting) {
    struct evidence evidence;
    struct part part = part_of(client, host, now_s);
    look_cheaply(reputation, client, &part, now_s, &evidence, ret_vetting);
    look_dearly(reputation, key, client, &part, &evidence, ret_vetting);
    ret_vetting->score = score_of(&evidence, ret_vetting->prior, good_factor(ret_vetting), reputation->config);
}
