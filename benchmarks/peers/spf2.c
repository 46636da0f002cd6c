/* libspf2, asked as benchmarks/peers/__init__.py says. Its DNS is its own zone layer, which holds records in memory.
   With an argument it prints its version. A request has its strings in this order: "prepare", key, "case", "spf", "ip",
   ip, "helo", helo, "mail_from", mail_from, "zone", record ...; none of them has an escape. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <spf2/spf.h>
#include <spf2/spf_dns_zone.h>

enum { KEY = 1, IP = 5, HELO = 7, MAIL_FROM = 9, ZONE = 11, MOST = 4096 };

static struct prepared {
    char *key, *ip, *helo, *mail_from;
    SPF_server_t *server;
    struct prepared *next;
} *all;

static SPF_result_t check(const struct prepared *one)
{
    SPF_response_t *response = NULL;
    SPF_request_t *request = SPF_request_new(one->server);
    SPF_result_t result;

    if (strchr(one->ip, ':'))
        SPF_request_set_ipv6_str(request, one->ip);
    else
        SPF_request_set_ipv4_str(request, one->ip);
    SPF_request_set_helo_dom(request, one->helo);
    SPF_request_set_env_from(request, one->mail_from);
    SPF_request_query_mailfrom(request, &response);
    result = SPF_response_result(response);
    SPF_response_free(response);
    SPF_request_free(request);
    return result;
}

static ns_type type_of(const char *name)
{
    if (!strcmp(name, "TXT")) return ns_t_txt;
    if (!strcmp(name, "MX")) return ns_t_mx;
    if (!strcmp(name, "PTR")) return ns_t_ptr;
    return strcmp(name, "AAAA") ? ns_t_a : ns_t_aaaa;
}

static const struct prepared *prepare(char **strings, int count)
{
    SPF_dns_server_t *zone = SPF_dns_zone_new(NULL, "zone", 0);
    struct prepared *one = calloc(1, sizeof *one);

    for (int i = ZONE; i < count; i++) {
        char *name = strtok(strings[i], " "), *type = strtok(NULL, " "), *value = strtok(NULL, "");
        if (SPF_dns_zone_add_str(zone, name, type_of(type), NETDB_SUCCESS, value) != SPF_E_SUCCESS) return NULL;
    }
    one->key = strdup(strings[KEY]), one->ip = strdup(strings[IP]);
    one->helo = strdup(strings[HELO]), one->mail_from = strdup(strings[MAIL_FROM]);
    one->server = SPF_server_new_dns(zone, 0);
    one->next = all;
    return all = one;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds(const char *key, long loops)
{
    const struct prepared *one = all;
    double start;

    while (strcmp(one->key, key)) one = one->next;
    start = now();
    while (loops-- > 0) check(one);
    return now() - start;
}

int main(int arguments, char **unused)
{
    static char line[1 << 20];
    int major, minor, patch;

    (void)unused;
    SPF_get_lib_version(&major, &minor, &patch);
    if (arguments > 1) return printf("%d.%d.%d\n", major, minor, patch) < 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        char *strings[MOST];
        int count = 0;
        long loops = atol(strrchr(line, ':') + 1);

        for (char *at = strtok(line, "\""); at && count < MOST; at = strtok(NULL, "\"")) {
            strings[count++] = strtok(NULL, "\"");
            if (!strings[count - 1]) count--;
        }
        if (!strcmp(strings[0], "time")) {
            printf("{\"seconds\": %.9f}\n", seconds(strings[KEY], loops));
        } else {
            const struct prepared *one = prepare(strings, count);
            if (one) printf("{\"result\": \"%s\"}\n", SPF_strresult(check(one)));
            else puts("{\"error\": \"the zone does not take a record\"}");
        }
    }
    return 0;
}
