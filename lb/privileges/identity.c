/* The last step of a start before threads begin: root's rights, which sockets and folders have needed, are given up.
 * Threads inherit what their creator has, and so do the kernel's workers of a ring. main.c calls it. A step that fails
 * is fatal: an operator who asked for fewer rights must not be served with more. */
#include "lb/privileges/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int identity_find(const struct config_global *config, FILE *errors, struct identity *ret_identity) {
    const char *name = config->user;
    struct identity identity = {.mode = geteuid() == 0 ? IDENTITY_STAYS_ROOT : IDENTITY_KEPT};
    if (name[0] != '\0' && identity.mode == IDENTITY_KEPT)
        fprintf(errors, "postern: [global] user = %s is ignored: not started as root\n", name);
    if (name[0] == '\0' || identity.mode == IDENTITY_KEPT) {
        *ret_identity = identity;
        return 0;
    }
    const struct passwd *found = getpwnam(name);
    if (found == NULL || found->pw_uid == 0) {
        fprintf(errors, "postern: [global] user = %s: %s; %sname another, or leave it empty to stay root\n", name,
                found == NULL ? "no such user" : "is root", found == NULL ? "make it, " : "");
        return found == NULL ? -ENOENT : -EINVAL;
    }
    *ret_identity =
        (struct identity){.mode = IDENTITY_CHANGES, .name = name, .uid = found->pw_uid, .gid = found->pw_gid};
    return 0;
}

/* --- taking it --- */

/* The kernel may know more capabilities than its header of the build: it says EINVAL behind the last one. Without
 * CAP_SETPCAP, as in some containers, the set stays, and no_new_privs alone keeps everybody from drawing on it. */
static void empty_bounding_set(void) {
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return;
}

static int change_user(const struct identity *identity) {
    if (initgroups(identity->name, identity->gid) < 0 || setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
        setresuid(identity->uid, identity->uid, identity->uid) < 0)
        return -errno;
    return setuid(0) == 0 ? -EPERM : 0; /* a way back would be no drop */
}

/* glibc has no call for it. With the permitted set, the ambient one is emptied by the kernel (capabilities(7)). */
static int empty_capability_sets(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* A change of user resets what is dumpable, so that this comes last. */
static int close_up(void) {
    const struct rlimit none = {0, 0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0)
        return -errno;
    return 0;
}

static int say(FILE *errors, const char *what, int error) {
    fprintf(errors, "postern: giving up root's rights: %s: %s\n", what, strerror(-error));
    return error;
}

int identity_take(const struct identity *identity, FILE *errors) {
    int result = 0;
    if (identity->mode != IDENTITY_STAYS_ROOT)
        empty_bounding_set();
    if (identity->mode == IDENTITY_CHANGES && (result = change_user(identity)) < 0)
        return say(errors, identity->name, result);
    if (identity->mode != IDENTITY_STAYS_ROOT && (result = empty_capability_sets()) < 0)
        return say(errors, "capabilities", result);
    if ((result = close_up()) < 0)
        return say(errors, "no_new_privs, dumpable, core", result);
    return 0;
}
