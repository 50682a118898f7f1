/* libssh: keyboard-interactive login, a command with a terminal, its output and exit status. */
#include <libssh/libssh.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WANT(that)                                                                                                     \
    if (!(that)) {                                                                                                     \
        fprintf(stderr, "line %d: %s\n", __LINE__, ssh_get_error(session));                                            \
        return 1;                                                                                                      \
    }

int main(void) {
    ssh_session session = ssh_new();
    int port = atoi(getenv("PORT")), strict = 0;
    ssh_options_set(session, SSH_OPTIONS_HOST, "127.0.0.1");
    ssh_options_set(session, SSH_OPTIONS_PORT, &port);
    ssh_options_set(session, SSH_OPTIONS_USER, getenv("TARGET_USER"));
    ssh_options_set(session, SSH_OPTIONS_STRICTHOSTKEYCHECK, &strict);
    ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &strict);
    WANT(ssh_connect(session) == SSH_OK);
    WANT(ssh_userauth_none(session, NULL) == SSH_AUTH_DENIED);
    WANT(ssh_userauth_list(session, NULL) & SSH_AUTH_METHOD_INTERACTIVE);
    WANT(ssh_userauth_kbdint(session, NULL, NULL) == SSH_AUTH_INFO);
    WANT(ssh_userauth_kbdint_getnprompts(session) == 1);
    WANT(ssh_userauth_kbdint_setanswer(session, 0, getenv("TOKEN")) == 0);
    int rc = ssh_userauth_kbdint(session, NULL, NULL);
    while (rc == SSH_AUTH_INFO)
        rc = ssh_userauth_kbdint(session, NULL, NULL);
    WANT(rc == SSH_AUTH_SUCCESS);
    ssh_channel channel = ssh_channel_new(session);
    WANT(ssh_channel_open_session(channel) == SSH_OK);
    WANT(ssh_channel_request_pty_size(channel, "xterm", 91, 31) == SSH_OK);
    WANT(ssh_channel_request_exec(channel, "stty size; exit 3") == SSH_OK);
    char buffer[256] = {0};
    int have = 0, got;
    while ((got = ssh_channel_read(channel, buffer + have, sizeof buffer - 1 - have, 0)) > 0)
        have += got;
    WANT(strstr(buffer, "31 91"));
    WANT(ssh_channel_get_exit_status(channel) == 3);
    ssh_disconnect(session);
    puts("libssh is content");
    return 0;
}
