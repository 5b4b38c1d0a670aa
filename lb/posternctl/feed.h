/* posternctl feed: follows a mail log on a VM and tells postern what became of each mail. */
#ifndef POSTERN_POSTERNCTL_FEED_H
#define POSTERN_POSTERNCTL_FEED_H

/* argv[0] is "feed". Returns the exit status. */
int feed_main(int argc, char **argv);

#endif
