// loadlib.h - closed-loop, single-threaded epoll load framework shared by
// etcdload / redisload / zkload.  One "slot" = one closed-loop client (exactly
// one request outstanding).  Slots are spread over --conns connections.
// A protocol P supplies: hello(), parse(), issue().  See etcdload.cc.
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace ll {

inline uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1000000000ull + t.tv_nsec;
}

struct Hist {  // log-linear, 128 sub-buckets per octave: < 0.8 % error
  std::vector<uint64_t> c;
  uint64_t n = 0, mx = 0;
  double sum = 0;
  Hist() : c(64 * 128, 0) {}
  static int idx(uint64_t v) {
    if (v < 128) return int(v);
    int e = 63 - __builtin_clzll(v);
    return (e - 6) * 128 + int((v >> (e - 7)) & 127);
  }
  static double val(int i) {
    if (i < 128) return i;
    int e = i / 128 + 6;
    uint64_t m = 128 + (i % 128);
    return double(m) * double(1ull << (e - 7)) + 0.5 * double(1ull << (e - 7));
  }
  void add(uint64_t v) {
    c[idx(v)]++;
    n++;
    sum += double(v);
    if (v > mx) mx = v;
  }
  double q(double p) const {
    if (!n) return 0;
    uint64_t want = uint64_t(p * double(n)), s = 0;
    for (size_t i = 0; i < c.size(); i++) {
      s += c[i];
      if (s > want) return val(int(i));
    }
    return double(mx);
  }
  void clear() {
    std::fill(c.begin(), c.end(), 0);
    n = mx = 0;
    sum = 0;
  }
};

struct Rng {
  uint64_t s;
  uint64_t next() {
    uint64_t z = (s += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t n) { return uint64_t((__uint128_t(next()) * n) >> 64); }
  double unit() { return double(next() >> 11) * 0x1.0p-53; }
};

struct Opts {
  std::map<std::string, std::string> m;
  Opts(int c, char** v) {
    for (int i = 1; i < c; i++) {
      std::string a = v[i];
      if (a.rfind("--", 0)) {
        fprintf(stderr, "bad arg %s\n", v[i]);
        exit(2);
      }
      auto e = a.find('=');
      if (e != std::string::npos)
        m[a.substr(2, e - 2)] = a.substr(e + 1);
      else if (i + 1 < c && strncmp(v[i + 1], "--", 2)) {
        m[a.substr(2)] = v[i + 1];
        i++;
      } else
        m[a.substr(2)] = "1";
    }
  }
  std::string s(const char* k, const char* d) const {
    auto i = m.find(k);
    return i == m.end() ? d : i->second;
  }
  double d(const char* k, double x) const {
    auto i = m.find(k);
    return i == m.end() ? x : atof(i->second.c_str());
  }
  long l(const char* k, long x) const {
    auto i = m.find(k);
    return i == m.end() ? x : atol(i->second.c_str());
  }
};
inline std::vector<std::string> split(const std::string& s, char c) {
  std::vector<std::string> r;
  std::string t;
  for (char x : s) {
    if (x == c) {
      if (!t.empty()) r.push_back(t);
      t.clear();
    } else
      t += x;
  }
  if (!t.empty()) r.push_back(t);
  return r;
}

// ---- CPU / disk accounting ----
inline double proc_cpu(int pid) {  // seconds
  char p[64];
  snprintf(p, sizeof p, "/proc/%d/stat", pid);
  FILE* f = fopen(p, "r");
  if (!f) return 0;
  char b[2048];
  size_t n = fread(b, 1, sizeof b - 1, f);
  fclose(f);
  b[n] = 0;
  char* q = strrchr(b, ')');
  if (!q) return 0;
  q += 2;
  unsigned long ut = 0, st = 0;
  sscanf(q, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut, &st);
  return double(ut + st) / double(sysconf(_SC_CLK_TCK));
}
inline double self_cpu() {
  rusage r;
  getrusage(RUSAGE_SELF, &r);
  return double(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + 1e-6 * double(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}
struct Sys {
  double busy = 0, idle = 0, steal = 0;
  double flushes = 0, wsect = 0, writes = 0;
};
inline Sys sys_now() {
  Sys s;
  FILE* f = fopen("/proc/stat", "r");
  double u, n, sy, id, io, ir, so, st;
  if (f) {
    if (fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &u, &n, &sy, &id, &io, &ir, &so, &st) == 8) {
      double hz = double(sysconf(_SC_CLK_TCK));
      s.busy = (u + n + sy + ir + so) / hz;
      s.idle = (id + io) / hz;
      s.steal = st / hz;
    }
    fclose(f);
  }
  f = fopen("/proc/diskstats", "r");
  char line[512];
  if (f) {
    while (fgets(line, sizeof line, f)) {
      int a, b;
      char nm[64];
      double v[17] = {0};
      int k = sscanf(line, "%d %d %63s %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf", &a, &b, nm, v,
                     v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, v + 8, v + 9, v + 10, v + 11, v + 12, v + 13, v + 14,
                     v + 15, v + 16);
      if (k >= 19 && !strcmp(nm, "vda")) {
        s.writes = v[4];
        s.wsect = v[6];
        s.flushes = v[15];
      }
    }
    fclose(f);
  }
  return s;
}

struct Slot {
  int id = 0;
  int conn = 0;
  Rng rng{0};
  uint64_t t0 = 0;
  uint64_t trpc = 0;
  int kind = 0;
  int stage = 0;
  uint64_t tag = 0;
  bool busy = false;
  uint64_t a = 0, b = 0;
  int64_t ra = 0, rb = 0, va = 0, vb = 0;
  int64_t lease = 0;
  std::string body;
  std::vector<int64_t> cache;
  uint64_t retry_at = 0;
  bool wait_retry = false;
};

struct Conn {
  int fd = -1;
  int id = 0;
  std::string host;
  int port = 0;
  bool up = false;
  bool ready = false;
  uint64_t retry_at = 0;
  std::vector<char> in;
  size_t inlen = 0;
  std::string out;
  size_t outpos = 0;
  bool want_w = false;
  std::vector<int> slots;
  // protocol state
  uint32_t next_stream = 1;
  uint64_t consumed = 0;
  long send_win = 65535;
  uint32_t hp_ins = 0;
  std::map<std::string, uint32_t> hp;
  std::vector<std::pair<uint32_t, int>> smap;
  std::vector<int> fifo;
  size_t fifo_head = 0;
  int replies_left = 1;
  int32_t xid = 1;
  bool connected_zk = false;
};

enum Res { OK_DONE, OK_MORE, FAIL };

template <class P>
struct Runner {
  const Opts& o;
  P& p;
  std::vector<Conn> conns;
  std::vector<Slot> slots;
  int ep = -1;
  Hist h, h2;
  uint64_t errs = 0, conflicts = 0, timeouts = 0, misses = 0, total = 0, issued = 0, limit = 0;
  bool measuring = false;
  bool stopping = false;
  uint64_t kill_t = 0, first_after = 0, first_after_get = 0, last_ok = 0, max_gap = 0;
  std::vector<uint64_t> first_conn;
  Runner(const Opts& o, P& p) : o(o), p(p) {}

  void open_conn(Conn& c) {
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(uint16_t(c.port));
    inet_pton(AF_INET, c.host.c_str(), &a.sin_addr);
    c.inlen = 0;
    c.out.clear();
    c.outpos = 0;
    c.want_w = true;
    c.up = false;
    c.ready = false;
    int r = connect(c.fd, (sockaddr*)&a, sizeof a);
    if (r < 0 && errno != EINPROGRESS) {
      close(c.fd);
      c.fd = -1;
      c.retry_at = now_ns() + 5000000;
      return;
    }
    epoll_event e{};
    e.events = EPOLLIN | EPOLLOUT;
    e.data.u32 = uint32_t(c.id);
    epoll_ctl(ep, EPOLL_CTL_ADD, c.fd, &e);
  }
  void drop(Conn& c) {
    if (c.fd >= 0) close(c.fd);
    c.fd = -1;
    c.up = c.ready = false;
    c.retry_at = now_ns() + 5000000;
    for (int s : c.slots)
      if (slots[size_t(s)].busy) {
        slots[size_t(s)].busy = false;
        errs++;
        issued--;
      }
  }
  void flush(Conn& c) {
    while (c.outpos < c.out.size()) {
      ssize_t w = write(c.fd, c.out.data() + c.outpos, c.out.size() - c.outpos);
      if (w > 0)
        c.outpos += size_t(w);
      else if (w < 0 && errno == EAGAIN)
        break;
      else {
        drop(c);
        return;
      }
    }
    bool more = c.outpos < c.out.size();
    if (!more) {
      c.out.clear();
      c.outpos = 0;
    }
    if (more != c.want_w) {
      c.want_w = more;
      epoll_event e{};
      e.events = EPOLLIN | (more ? uint32_t(EPOLLOUT) : 0u);
      e.data.u32 = uint32_t(c.id);
      epoll_ctl(ep, EPOLL_CTL_MOD, c.fd, &e);
    }
  }
  void start(Slot& s) {  // new operation
    if (stopping || (limit && issued >= limit)) {
      s.busy = false;
      return;
    }
    issued++;
    s.busy = true;
    s.stage = 0;
    s.wait_retry = false;
    s.t0 = s.trpc = now_ns();
    p.issue(conns[size_t(s.conn)], s);
  }
  void complete(Slot& s, Res r) {
    uint64_t t = now_ns();
    if (r == OK_MORE) {
      s.trpc = t;
      p.issue(conns[size_t(s.conn)], s);
      return;
    }
    s.busy = false;
    if (r == OK_DONE) {
      total++;
      if (measuring) {
        (s.kind ? h2 : h).add(t - s.t0);
      }
      if (last_ok && t - last_ok > max_gap) max_gap = t - last_ok;
      last_ok = t;
      if (kill_t && s.t0 >= kill_t) {
        if (!first_after) first_after = t;
        if (!first_conn[size_t(s.conn)]) first_conn[size_t(s.conn)] = t;
      }
      start(s);
    } else {
      errs++;
      issued--;
      s.wait_retry = true;
      s.retry_at = t + 2000000;
    }
  }
  int run() {
    signal(SIGPIPE, SIG_IGN);
    auto eps = split(o.s("endpoints", p.default_ep()), ',');
    int nclients = int(o.l("clients", 1));
    int nconns = int(o.l("conns", 0));
    if (!nconns) nconns = nclients;
    double warm = o.d("warmup", 1), dur = o.d("duration", 5);
    limit = uint64_t(o.l("total", 0));
    uint64_t opto = uint64_t(o.d("optimeout", 0) * 1e6);
    double kill_at = o.d("kill-at", 0);
    int kill_pid = int(o.l("kill-pid", 0));
    double maxdur = o.d("maxdur", 60);
    std::vector<int> pids;
    for (auto& x : split(o.s("pids", ""), ',')) pids.push_back(atoi(x.c_str()));
    ep = epoll_create1(0);
    conns.resize(size_t(nconns));
    slots.resize(size_t(nclients));
    first_conn.assign(size_t(nconns), 0);
    for (int i = 0; i < nconns; i++) {
      Conn& c = conns[size_t(i)];
      c.id = i;
      auto hp = split(eps[size_t(i) % eps.size()], ':');
      c.host = hp[0];
      c.port = atoi(hp[1].c_str());
      c.in.resize(1 << 18);
    }
    uint64_t seed = uint64_t(o.l("seed", 0));
    if (!seed) seed = now_ns();
    for (int i = 0; i < nclients; i++) {
      Slot& s = slots[size_t(i)];
      s.id = i;
      s.conn = i % nconns;
      s.rng.s = seed * 1000003 + uint64_t(i) * 7919;
      conns[size_t(s.conn)].slots.push_back(i);
    }
    for (auto& c : conns) open_conn(c);
    uint64_t T0 = now_ns(), tm = T0 + uint64_t(warm * 1e9), te = tm + uint64_t(dur * 1e9), tick = 0;
    Sys s0{}, s1{};
    double c0 = 0;
    std::vector<double> p0(pids.size()), p1(pids.size());
    uint64_t e0 = 0, cf0 = 0;
    auto begin = [&] {
      measuring = true;
      h.clear();
      h2.clear();
      e0 = errs;
      cf0 = conflicts;
      s0 = sys_now();
      c0 = self_cpu();
      for (size_t i = 0; i < pids.size(); i++) p0[i] = proc_cpu(pids[i]);
      tm = now_ns();
    };
    if (limit) {
      tm = T0;
      te = T0 + uint64_t(maxdur * 1e9);
    }
    if (limit) begin();
    std::vector<epoll_event> ev(512);
    uint64_t tend = 0;
    // --abort-foreign X: give up (exit 9) when CPU used by others exceeds X cores over any ~0.5 s slice
    double af = o.d("abort-foreign", 0), fcpu = 0;
    Sys fs = sys_now();
    uint64_t fnext = T0 + 500000000ull, flast = T0;
    auto mine = [&] {
      double x = self_cpu();
      for (int q : pids) x += proc_cpu(q);
      return x;
    };
    if (af > 0) fcpu = mine();
    for (;;) {
      int n = epoll_wait(ep, ev.data(), int(ev.size()), 5);
      uint64_t t = now_ns();
      if (af > 0 && t >= fnext) {
        Sys b = sys_now();
        double m = mine(), el = double(t - flast) / 1e9;
        double f = (b.busy - fs.busy - (m - fcpu)) / el;
        if (f > af) {
          printf("{\"aborted\":%.2f}\n", f);
          fflush(stdout);
          _exit(9);
        }
        fs = b;
        fcpu = m;
        flast = t;
        fnext = t + 500000000ull;
      }
      if (!measuring && t >= tm) {
        begin();
        te = tm + uint64_t(dur * 1e9);
      }
      if (measuring && (t >= te || (limit && total >= limit))) {
        tend = t;
        break;
      }
      for (int i = 0; i < n; i++) {
        Conn& c = conns[ev[size_t(i)].data.u32];
        if (c.fd < 0) continue;
        uint32_t E = ev[size_t(i)].events;
        if (!c.up && (E & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
          int er = 0;
          socklen_t sl = sizeof er;
          getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &er, &sl);
          if (er || (E & (EPOLLERR | EPOLLHUP))) {
            drop(c);
            continue;
          }
          c.up = true;
          p.hello(c);
          if (c.ready)
            for (int s : c.slots)
              if (!slots[size_t(s)].busy && !slots[size_t(s)].wait_retry) start(slots[size_t(s)]);
          flush(c);
          continue;
        }
        if (E & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
          if (c.inlen == c.in.size()) c.in.resize(c.in.size() * 2);
          ssize_t r = read(c.fd, c.in.data() + c.inlen, c.in.size() - c.inlen);
          if (r == 0 || (r < 0 && errno != EAGAIN)) {
            drop(c);
            continue;
          }
          if (r > 0) {
            c.inlen += size_t(r);
            bool was = c.ready;
            size_t used = p.parse(c, *this);
            if (used) {
              memmove(c.in.data(), c.in.data() + used, c.inlen - used);
              c.inlen -= used;
            }
            if (!was && c.ready)
              for (int s : c.slots)
                if (!slots[size_t(s)].busy) start(slots[size_t(s)]);
            if (c.fd >= 0 && c.outpos < c.out.size()) flush(c);
          }
        } else if (E & EPOLLOUT)
          flush(c);
      }
      if (t >= tick) {
        tick = t + 2000000;
        if (kill_pid && !kill_t && t >= tm + uint64_t(kill_at * 1e9) && measuring) {
          kill(kill_pid, SIGKILL);
          kill_t = now_ns();
          max_gap = 0;
        }
        for (auto& c : conns) {
          if (c.fd < 0) {
            if (t >= c.retry_at) open_conn(c);
            continue;
          }
          if (!c.ready) continue;
          bool dirty = false;
          if (opto || errs)
            for (int si : c.slots) {
              Slot& s = slots[size_t(si)];
              if (s.busy && opto && t - s.trpc > opto) {
                p.abandon(c, s);
                timeouts++;
                issued--;
                s.busy = false;
                start(s);
                dirty = true;
              } else if (!s.busy && s.wait_retry && t >= s.retry_at) {
                start(s);
                dirty = true;
              } else if (!s.busy && !s.wait_retry && (!limit || issued < limit)) {
                start(s);
                dirty = true;
              }
            }
          if (dirty) flush(c);
        }
      }
    }
    s1 = sys_now();
    double c1 = self_cpu();
    for (size_t i = 0; i < pids.size(); i++) p1[i] = proc_cpu(pids[i]);
    double el = double(tend - tm) / 1e9;
    double srv = 0;
    std::string per;
    for (size_t i = 0; i < pids.size(); i++) {
      double x = (p1[i] - p0[i]) / el;
      srv += x;
      char b[32];
      snprintf(b, sizeof b, "%s%.2f", i ? "," : "", x);
      per += b;
    }
    uint64_t n = h.n + h2.n;
    printf(
        "{\"label\":\"%s\",\"op\":\"%s\",\"conns\":%d,\"clients\":%d,\"secs\":%.2f,\"ops\":%lu,\"ops_s\":%.0f,\"p50\":%.3f,"
        "\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.2f",
        o.s("label", "").c_str(), o.s("op", "put").c_str(), nconns, nclients, el, (unsigned long)n, double(n) / el,
        h.q(.5) / 1e6, h.q(.9) / 1e6, h.q(.99) / 1e6, h.q(.999) / 1e6, double(h.mx) / 1e6);
    if (h2.n) printf(",\"get_p50\":%.3f,\"get_p99\":%.3f", h2.q(.5) / 1e6, h2.q(.99) / 1e6);
    printf(
        ",\"errs\":%lu,\"conflicts\":%lu,\"timeouts\":%lu,\"misses\":%lu,\"cpu_client\":%.2f,\"cpu_srv\":%.2f,\"cpu_each\":[%s]"
        ",\"cpu_busy\":%.2f,\"cpu_idle\":%.2f,\"steal\":%.2f,\"flush_s\":%.0f,\"wMB_s\":%.1f,\"wios\":%.0f",
        (unsigned long)(errs - e0), (unsigned long)(conflicts - cf0), (unsigned long)timeouts, (unsigned long)misses,
        (c1 - c0) / el, srv, per.c_str(), (s1.busy - s0.busy) / el, (s1.idle - s0.idle) / el, (s1.steal - s0.steal) / el,
        (s1.flushes - s0.flushes) / el, (s1.wsect - s0.wsect) * 512 / 1e6 / el, (s1.writes - s0.writes) / el);
    if (kill_pid) {
      printf(",\"outage_ms\":%.1f,\"max_gap_ms\":%.1f,\"per_conn_ms\":[", first_after ? double(first_after - kill_t) / 1e6 : -1,
             double(max_gap) / 1e6);
      for (size_t i = 0; i < first_conn.size(); i++)
        printf("%s%.1f", i ? "," : "", first_conn[i] ? double(first_conn[i] - kill_t) / 1e6 : -1.0);
      printf("]");
    }
    printf(",\"wall\":%.4f}\n", double(now_ns() - T0) / 1e9);
    fflush(stdout);
    _exit(n ? 0 : 1);
  }
};

struct Values {
  std::string buf;
  Values() {
    Rng r{42};
    buf.resize(1 << 16);
    for (auto& c : buf) c = char('a' + r.below(26));
  }
  void put(std::string& o, Rng& r, size_t n) { o.append(buf, size_t(r.below(buf.size() - n)), n); }
};
inline int fmt_key(char* b, uint64_t k) {
  memcpy(b, "key/", 4);
  for (int i = 11; i >= 4; i--) {
    b[i] = char('0' + k % 10);
    k /= 10;
  }
  return 12;
}
}  // namespace ll
