/* An SMTP dialog spoken word by word, octets and all. */
#ifndef POSTERN_TESTS_SPEAK_H
#define POSTERN_TESTS_SPEAK_H

/* Connects to 127.0.0.1:`port`; with `client` (an IPv4 address) a PROXY v1 header says that this is who comes. Each
 * line of `script` is sent with CR LF behind it after the last reply has come; \r, \n, \xHH in it mean these octets.
 * Returns all that was heard (to be freed), each line ended by LF, and "closed" where the server hung up. */
char *speak(unsigned port, const char *client, const char *script);

#endif
