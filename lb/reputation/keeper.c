/* The keeper: the thread that may wait for a disk. One buffer goes between the manager and the thread: whoever has it
 * works on it, the other waits for it (the thread) or goes on without (the manager). At the start the thread fills it
 * with records until all are loaded, then the manager fills it with changes.
 *
 * Owns the thread, the store and the buffer. Nothing is fatal here once the thread runs: without a store mail goes on,
 * and the log says so. */
#include "lb/reputation/keeper.h"

#include "lb/base/hash.h"
#include "lb/engine/container.h"
#include "lb/engine/log.h"
#include "lb/reputation/store.h"

#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* In one transaction, and for how many records the manager may be held up at the start: about 15 µs each. */
#define BATCH_MAX 4096u
#define LOAD_MAX  256u
/* Clients that lost their place between two flushes. More stay in the store until the next start finds no room. */
#define REMOVED_MAX 1024u

enum turn {
    TURN_THREAD_LOADS,  /* the thread fills the buffer with records */
    TURN_MANAGER_TAKES, /* the manager takes them */
    TURN_MANAGER,       /* the manager may fill it with changes */
    TURN_THREAD_WRITES,
    TURN_END,
};

struct keeper {
    struct reputation *reputation;
    struct mailbox *manager;
    char directory[256];
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum turn turn;      /* by the mutex */
    bool is_ending;      /* by the mutex; nobody reads the mailbox any more */
    struct store *store; /* the thread's, like the next one */
    int open_error;      /* that was said last */
    /* The buffer: of whose turn it is. */
    struct store_change changes[BATCH_MAX];
    unsigned count;
    bool is_last;       /* of the load */
    bool forgets_lists; /* the records' list results are of other lists */
    bool is_fresh;      /* the store is empty anew: everything must be written */
    int result;
    struct message message; /* to the manager: the buffer is its own again */
    /* The manager's. */
    bool is_loading;
    bool is_writing;
    bool is_flushing; /* marks are left over from the last batch */
    unsigned cursor;
    uint64_t next_flush_ms;
    unsigned loaded;
    uint64_t removed[REMOVED_MAX];
    unsigned removed_count;
    char state[128];
};

/* --- turns --- */

static void set_turn(struct keeper *keeper, enum turn turn) {
    pthread_mutex_lock(&keeper->mutex);
    keeper->turn = turn;
    pthread_cond_broadcast(&keeper->changed);
    pthread_mutex_unlock(&keeper->mutex);
}

/* The thread gives the buffer away and waits until it has it back. Returns TURN_END when there is nothing more to do.
 */
static enum turn give_to_manager(struct keeper *keeper, enum turn turn) {
    pthread_mutex_lock(&keeper->mutex);
    keeper->turn = turn;
    if (!keeper->is_ending)
        mailbox_post(keeper->manager, &keeper->message);
    pthread_cond_broadcast(&keeper->changed);
    while (keeper->turn == TURN_MANAGER || (keeper->turn == TURN_MANAGER_TAKES && !keeper->is_ending))
        pthread_cond_wait(&keeper->changed, &keeper->mutex);
    enum turn next = keeper->turn == TURN_MANAGER_TAKES ? TURN_END : keeper->turn;
    pthread_mutex_unlock(&keeper->mutex);
    return next;
}

/* --- the thread: opening --- */

/* A number for what the records depend on: a bit of `listed` means the list at its place. */
static uint64_t marks_of(const struct reputation *reputation) {
    uint64_t hash = HASH_START;
    for (unsigned i = 0; i < reputation->lists_count; i++) {
        const char *zone = reputation->lists[i].config->zone;
        hash = hash_octets(hash, zone, strlen(zone) + 1); /* with its NUL: "a" and "bc" are not "ab" and "c" */
    }
    return hash;
}

/* Returns true when another process could not read it all. A damaged file may end that one by a signal. */
static bool is_damaged(const struct keeper *keeper) {
    char clients[16], directory[sizeof keeper->directory];
    char program[] = "postern", option[] = "--check-store";
    char *arguments[] = {program, option, directory, clients, NULL};
    pid_t child;
    int status = 0;
    snprintf(directory, sizeof directory, "%s", keeper->directory);
    snprintf(clients, sizeof clients, "%u", keeper->reputation->config->entries_max);
    int error = posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ);
    if (error != 0) {
        log_warning("reputation: %s is used unchecked: %s", keeper->directory, strerror(error));
        return false;
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return !WIFEXITED(status) || WEXITSTATUS(status) == 1;
}

static void set_aside(const struct keeper *keeper, const char *why) {
    char path[512];
    int result = store_set_aside(keeper->directory, path, sizeof path);
    if (result < 0)
        log_error("reputation: the store in %s %s, and cannot be set aside: %s", keeper->directory, why,
                  strerror(-result));
    else
        log_error("reputation: the store in %s %s; it is now %s, and reputations begin anew", keeper->directory, why,
                  path);
}

static int open_store(struct keeper *keeper, bool *ret_is_same) {
    unsigned clients_max = keeper->reputation->config->entries_max;
    uint64_t marks = marks_of(keeper->reputation);
    int result = store_open(keeper->directory, clients_max, marks, &keeper->store, ret_is_same);
    if (result == -EBADMSG) {
        set_aside(keeper, "is damaged or not postern's");
        result = store_open(keeper->directory, clients_max, marks, &keeper->store, ret_is_same);
    }
    if (result < 0 && result != keeper->open_error)
        log_error("reputation: %s: %s: reputations are not kept", keeper->directory,
                  result == -EBUSY ? "another postern uses it" : strerror(-result));
    keeper->open_error = result;
    return result;
}

/* --- the thread: loading --- */

static bool load_record(void *context, uint64_t key, const struct client *client) {
    struct keeper *keeper = context;
    struct store_change *change = &keeper->changes[keeper->count++];
    change->key = key;
    change->client = *client;
    if (keeper->count < LOAD_MAX)
        return true;
    bool goes_on = give_to_manager(keeper, TURN_MANAGER_TAKES) == TURN_THREAD_LOADS;
    keeper->count = 0;
    return goes_on;
}

static void load(struct keeper *keeper) {
    unsigned skipped = 0;
    bool is_same = true;
    if (is_damaged(keeper))
        set_aside(keeper, "cannot be read");
    keeper->result = open_store(keeper, &is_same);
    keeper->forgets_lists = !is_same;
    if (keeper->store != NULL && store_iterate(keeper->store, load_record, keeper, &skipped) < 0)
        log_error("reputation: %s: not all of the store could be read", keeper->directory);
    if (skipped > 0)
        log_warning("reputation: %s: %u records are damaged and left out", keeper->directory, skipped);
    keeper->is_last = true;
}

/* --- the thread: writing --- */

static void reopen(struct keeper *keeper) {
    bool is_same;
    store_close(keeper->store);
    keeper->store = NULL;
    set_aside(keeper, "was damaged while it was written");
    keeper->result = open_store(keeper, &is_same);
    keeper->is_fresh = keeper->result == 0;
}

static void write_batch(struct keeper *keeper) {
    keeper->is_fresh = false;
    if (keeper->store == NULL) { /* it could not be opened: perhaps now */
        bool is_same;
        keeper->result = open_store(keeper, &is_same);
    }
    if (keeper->store == NULL)
        return;
    keeper->result = store_batch(keeper->store, keeper->changes, keeper->count);
    if (keeper->result == -EBADMSG)
        reopen(keeper);
}

static void *keeper_run(void *argument) {
    struct keeper *keeper = argument;
    log_join();
    load(keeper);
    enum turn turn = give_to_manager(keeper, TURN_MANAGER_TAKES);
    while (turn == TURN_THREAD_WRITES) {
        write_batch(keeper);
        turn = give_to_manager(keeper, TURN_MANAGER);
    }
    store_close(keeper->store);
    return NULL;
}

/* --- the manager --- */

/* LMDB takes a write that was cut short, as by a full disk, for an I/O error. */
static const char *reason(int result) {
    return result == -EIO ? "Input/output error, as from a full disk" : strerror(-result);
}

static void note_result(struct keeper *keeper) {
    bool was_on = strcmp(keeper->state, "on") == 0;
    if (keeper->result == 0 && !was_on && !keeper->is_loading)
        log_info("reputation: %s: reputations are kept", keeper->directory);
    if (keeper->result < 0 && was_on)
        log_error("reputation: %s: %s: reputations are not kept for now", keeper->directory, reason(keeper->result));
    snprintf(keeper->state, sizeof keeper->state, "%s", keeper->result == 0 ? "on" : reason(keeper->result));
}

static void take_loaded(struct keeper *keeper, uint32_t now_s) {
    for (unsigned i = 0; i < keeper->count; i++) {
        struct store_change *change = &keeper->changes[i];
        if (keeper->forgets_lists) {
            for (unsigned host = 0; host < CLIENT_HOSTS; host++) {
                change->client.dns[host].listed = 0;
                change->client.dns[host].lists_s = change->client.dns[host].ask_after_s = 0;
            }
        }
        keeper->loaded += reputation_load(keeper->reputation, change->key, &change->client, now_s);
    }
    if (!keeper->is_last) {
        set_turn(keeper, TURN_THREAD_LOADS);
        return;
    }
    note_result(keeper);
    keeper->is_loading = false;
    reputation_on_loaded(keeper->reputation);
    log_info("reputation: %u clients are known, %u of them vetted", keeper->loaded,
             reputation_count_vetted(keeper->reputation));
    set_turn(keeper, TURN_MANAGER);
}

static void mark_again(struct keeper *keeper) {
    struct reputation_table *table = &keeper->reputation->table;
    for (unsigned i = 0; i < keeper->count; i++) {
        const struct client *client = reputation_table_find(table, keeper->changes[i].key);
        if (client != NULL)
            reputation_table_mark(table, client);
    }
}

static void mark_all(struct keeper *keeper) {
    struct reputation_table *table = &keeper->reputation->table;
    uint64_t key;
    for (unsigned i = 0; i < reputation_table_places(table); i++) {
        const struct client *client = reputation_table_at(table, i, &key);
        if (client != NULL)
            reputation_table_mark(table, client);
    }
}

static void take_written(struct keeper *keeper) {
    keeper->is_writing = false;
    note_result(keeper);
    if (keeper->is_fresh)
        mark_all(keeper);
    else if (keeper->result < 0)
        mark_again(keeper);
    keeper->is_flushing = keeper->is_flushing && keeper->result == 0;
}

static void on_message(struct message *message, void *receiver) {
    struct keeper *keeper = container_of(message, struct keeper, message);
    (void)receiver;
    if (keeper->is_loading)
        take_loaded(keeper, (uint32_t)time(NULL));
    else
        take_written(keeper);
}

static void on_dropped(void *context, uint64_t key) {
    struct keeper *keeper = context;
    if (keeper->removed_count < REMOVED_MAX)
        keeper->removed[keeper->removed_count++] = key;
}

/* Strangers of a day are not worth a disk's time: to be unknown is no worse for them. */
static bool is_worth_keeping(const struct client *client) {
    const struct evidence *evidence = &client->evidence;
    return evidence->days > 1 || client->decree != DECREE_NONE || evidence->good > 0 ||
           evidence->seen[EVIDENCE_MAIL_CLEAN] > 0 || evidence->seen[EVIDENCE_FEEDBACK_GOOD] > 0 ||
           evidence->seen[EVIDENCE_FEEDBACK_HAM] > 0;
}

/* Fills the buffer with what has changed. */
static void gather(struct keeper *keeper) {
    struct reputation_table *table = &keeper->reputation->table;
    struct client *client;
    keeper->count = 0;
    for (; keeper->removed_count > 0; keeper->count++)
        keeper->changes[keeper->count] =
            (struct store_change){.key = keeper->removed[--keeper->removed_count], .is_removed = true};
    uint64_t key;
    while (keeper->count < BATCH_MAX && (client = reputation_table_next_marked(table, &keeper->cursor, &key)) != NULL) {
        if (!is_worth_keeping(client))
            continue;
        keeper->changes[keeper->count++] = (struct store_change){.key = key, .client = *client};
    }
    keeper->is_flushing = keeper->count == BATCH_MAX;
    if (!keeper->is_flushing)
        keeper->cursor = 0;
}

void keeper_tick(struct keeper *keeper, uint64_t now_ms) {
    if (keeper->is_loading || keeper->is_writing || (!keeper->is_flushing && now_ms < keeper->next_flush_ms))
        return;
    if (!keeper->is_flushing)
        keeper->next_flush_ms = now_ms + FLUSH_INTERVAL_MS;
    gather(keeper);
    if (keeper->count == 0)
        return;
    keeper->is_writing = true;
    set_turn(keeper, TURN_THREAD_WRITES);
}

bool keeper_is_loading(const struct keeper *keeper) {
    return keeper->is_loading;
}

const char *keeper_state(const struct keeper *keeper) {
    return keeper->state;
}

/* --- life --- */

int keeper_create(const char *directory, struct reputation *reputation, struct mailbox *manager,
                  struct keeper **ret_keeper) {
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL)
        return -ENOMEM;
    keeper->reputation = reputation;
    keeper->manager = manager;
    keeper->is_loading = true;
    keeper->message.deliver = on_message;
    snprintf(keeper->directory, sizeof keeper->directory, "%s", directory);
    snprintf(keeper->state, sizeof keeper->state, "loading");
    pthread_mutex_init(&keeper->mutex, NULL);
    pthread_cond_init(&keeper->changed, NULL);
    reputation->table.on_dropped = on_dropped;
    reputation->table.on_dropped_context = keeper;
    int result = -pthread_create(&keeper->thread, NULL, keeper_run, keeper);
    if (result < 0)
        free(keeper);
    else
        *ret_keeper = keeper;
    return result;
}

/* Waits for the thread's last answer. Nobody reads the mailbox any more. */
static void await_manager(struct keeper *keeper) {
    pthread_mutex_lock(&keeper->mutex);
    keeper->is_ending = true;
    pthread_cond_broadcast(&keeper->changed);
    while (keeper->turn == TURN_THREAD_WRITES)
        pthread_cond_wait(&keeper->changed, &keeper->mutex);
    pthread_mutex_unlock(&keeper->mutex);
}

void keeper_destroy(struct keeper *keeper) {
    if (keeper == NULL)
        return;
    await_manager(keeper);
    if (keeper->is_writing && keeper->result < 0)
        mark_again(keeper);
    keeper->cursor = 0;
    keeper->is_flushing = !keeper->is_loading;
    while (keeper->is_flushing) {
        gather(keeper);
        if (keeper->count == 0)
            break;
        set_turn(keeper, TURN_THREAD_WRITES);
        await_manager(keeper);
        keeper->is_flushing = keeper->is_flushing && keeper->result == 0;
    }
    if (!keeper->is_loading)
        set_turn(keeper, TURN_END);
    pthread_join(keeper->thread, NULL);
    pthread_mutex_destroy(&keeper->mutex);
    pthread_cond_destroy(&keeper->changed);
    free(keeper);
}
