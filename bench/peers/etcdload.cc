// etcdload - closed-loop etcd v3 load generator. Speaks gRPC over HTTP/2 by hand
// (no grpc library), one thread, one epoll loop: costs ~4 us of CPU per op.
// build: g++ -O2 -std=c++17 -o etcdload etcdload.cc
// ops: put get sget mix cas cas2 xfer range leaseput leaseown load
//   mix: --wfrac 0.5 ; cas/cas2: 1- or 2-key Txn on mod_revision, revisions cached from replies (1 RPC);
//   xfer: transfer between two random accounts = read Txn (2 Range) + commit Txn (2 Compare, 2 Put), retried on conflict;
//   leaseput: Put with one of 64 leases granted at start; leaseown: LeaseGrant + Put per op (own TTL per key)
//   load: sequential keys, with --total N
#include "loadlib.h"
using namespace ll;
static inline void vi(std::string& o, uint64_t v) {
  while (v >= 128) {
    o += char(v | 128);
    v >>= 7;
  }
  o += char(v);
}
static inline void fld(std::string& o, int f, const char* p, size_t n) {
  o += char(f << 3 | 2);
  vi(o, n);
  o.append(p, n);
}
static inline void fint(std::string& o, int f, int64_t v) {
  o += char(f << 3);
  vi(o, uint64_t(v));
}
struct Pb {
  const uint8_t *p, *e;
  int f = 0, w = 0;
  uint64_t v = 0;
  const uint8_t* s = nullptr;
  size_t n = 0;
  Pb(const void* b, size_t l) : p((const uint8_t*)b), e(p + l) {}
  uint64_t var() {
    uint64_t r = 0;
    int sh = 0;
    while (p < e) {
      uint8_t b = *p++;
      r |= uint64_t(b & 127) << sh;
      if (b < 128) break;
      sh += 7;
    }
    return r;
  }
  bool next() {
    if (p >= e) return false;
    uint64_t t = var();
    f = int(t >> 3);
    w = int(t & 7);
    if (w == 0)
      v = var();
    else if (w == 2) {
      n = var();
      s = p;
      p += n;
    } else if (w == 1)
      p += 8;
    else if (w == 5)
      p += 4;
    else
      return false;
    return true;
  }
};
enum { PUT, GET, SGET, MIX, CAS, CAS2, XFER, RANGE, LEASEPUT, LEASEOWN, LOAD };
struct Etcd {
  const Opts& o;
  Values vals;
  int op;
  uint64_t keys;
  size_t vsize;
  double wfrac;
  uint64_t seq = 0;
  int64_t ttl;
  std::string msg, sub, sub2;
  size_t prefdig;
  Runner<Etcd>* R = nullptr;
  int64_t leases[64] = {0};
  uint64_t range_kvs = 0;
  Etcd(const Opts& o) : o(o) {
    static const std::map<std::string, int> M{{"put", PUT},           {"get", GET},           {"sget", SGET}, {"mix", MIX},
                                              {"cas", CAS},           {"cas2", CAS2},         {"xfer", XFER}, {"range", RANGE},
                                              {"leaseput", LEASEPUT}, {"leaseown", LEASEOWN}, {"load", LOAD}};
    auto i = M.find(o.s("op", "put"));
    if (i == M.end()) {
      fprintf(stderr, "bad op\n");
      exit(2);
    }
    op = i->second;
    keys = uint64_t(o.l("keys", 100000));
    vsize = size_t(o.l("vsize", 100));
    wfrac = o.d("wfrac", .5);
    ttl = o.l("ttl", 600);
    prefdig = 2;
    seq = uint64_t(o.l("first", 0));
  }
  const char* default_ep() { return "127.0.0.1:23791"; }
  void frame(std::string& b, size_t len, int type, int flags, uint32_t id) {
    char h[9] = {char(len >> 16), char(len >> 8), char(len),     char(type), char(flags),
                 char(id >> 24),  char(id >> 16), char(id >> 8), char(id)};
    b.append(h, 9);
  }
  void hello(Conn& c) {
    c.next_stream = 1;
    c.consumed = 0;
    c.send_win = 65535;
    c.hp_ins = 0;
    c.hp.clear();
    c.smap.assign(65536, {0, -1});
    c.out += "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    frame(c.out, 12, 4, 0, 0);
    const unsigned char st[12] = {0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff};
    c.out.append((const char*)st, 12);
    wu(c, 0x7fffffff - 65535);
    c.ready = true;
  }
  void wu(Conn& c, uint32_t n) {
    frame(c.out, 4, 8, 0, 0);
    char b[4] = {char(n >> 24), char(n >> 16), char(n >> 8), char(n)};
    c.out.append(b, 4);
  }
  void hdr(std::string& b, Conn& c, const char* lit, size_t n, const std::string& key) {
    auto i = c.hp.find(key);
    if (i != c.hp.end()) {
      b += char(0x80 | (62 + c.hp_ins - 1 - i->second));
      return;
    }
    b.append(lit, n);
    c.hp[key] = c.hp_ins++;
  }
  std::string hb;
  void call(Conn& c, Slot& s, const char* path) {
    uint32_t id = c.next_stream;
    c.next_stream += 2;
    s.tag = id;
    s.body.clear();
    c.smap[(id >> 1) & 65535] = {id, s.id};
    hb.clear();
    hb += char(0x83);
    hb += char(0x86);
    {
      std::string l;
      l += char(0x44);
      l += char(strlen(path));
      l += path;
      hdr(hb, c, l.data(), l.size(), path);
    }
    {
      static const std::string a(
          "\x41\x09"
          "127.0.0.1",
          11);
      hdr(hb, c, a.data(), a.size(), ":a");
    }
    {
      static const std::string a(
          "\x5f\x10"
          "application/grpc",
          18);
      hdr(hb, c, a.data(), a.size(), "ct");
    }
    {
      static const std::string a("\x40\x02te\x08trailers", 13);
      hdr(hb, c, a.data(), 13, "te");
    }
    frame(c.out, hb.size(), 1, 4, id);
    c.out += hb;
    frame(c.out, msg.size() + 5, 0, 1, id);
    size_t n = msg.size();
    char g[5] = {0, char(n >> 24), char(n >> 16), char(n >> 8), char(n)};
    c.out.append(g, 5);
    c.out += msg;
    c.send_win -= long(n + 5);
    if (c.send_win < 0) {
      fprintf(stderr, "send window exhausted\n");
      _exit(3);
    }
  }
  void abandon(Conn& c, Slot& s) {
    frame(c.out, 4, 3, 0, uint32_t(s.tag));
    const char e[4] = {0, 0, 0, 8};
    c.out.append(e, 4);
    c.smap[(s.tag >> 1) & 65535] = {0, -1};
  }
  void putmsg(std::string& m, uint64_t k, const char* v, size_t n, int64_t lease) {
    char kb[16];
    int kl = fmt_key(kb, k);
    fld(m, 1, kb, size_t(kl));
    fld(m, 2, v, n);
    if (lease) fint(m, 3, lease);
  }
  void put(Slot& s, uint64_t k, int64_t lease) {
    msg.clear();
    sub.clear();
    vals.put(sub, s.rng, vsize);
    putmsg(msg, k, sub.data(), sub.size(), lease);
  }
  void cmp(uint64_t k, int64_t rev) {
    sub.clear();
    fint(sub, 2, 2);
    char kb[16];
    int kl = fmt_key(kb, k);
    fld(sub, 3, kb, size_t(kl));
    fint(sub, 6, rev);
    fld(msg, 1, sub.data(), sub.size());
  }
  void opput(int f, uint64_t k, const char* v, size_t n) {
    sub.clear();
    putmsg(sub, k, v, n, 0);
    sub2.clear();
    fld(sub2, 2, sub.data(), sub.size());
    fld(msg, f, sub2.data(), sub2.size());
  }
  void oprange(int f, uint64_t k) {
    sub.clear();
    char kb[16];
    int kl = fmt_key(kb, k);
    fld(sub, 1, kb, size_t(kl));
    sub2.clear();
    fld(sub2, 1, sub.data(), sub.size());
    fld(msg, f, sub2.data(), sub2.size());
  }
  uint64_t own(Slot& s, uint64_t j) { return (uint64_t(s.id) * 8 + j) % keys; }  // slot-private keys
  void issue(Conn& c, Slot& s) {
    if (op == CAS || op == CAS2) s.kind = 0;
    static const char *KP = "/etcdserverpb.KV/Put", *KR = "/etcdserverpb.KV/Range", *KT = "/etcdserverpb.KV/Txn",
                      *LG = "/etcdserverpb.Lease/LeaseGrant";
    char kb[16];
    int k = op;
    if (op == MIX) k = s.rng.unit() < wfrac ? PUT : GET;
    switch (k) {
      case PUT:
        s.kind = 0;
        put(s, s.rng.below(keys), 0);
        call(c, s, KP);
        break;
      case LOAD:
        s.kind = 0;
        put(s, seq++, 0);
        call(c, s, KP);
        break;
      case GET:
      case SGET: {
        s.kind = op == MIX;
        msg.clear();
        int n = fmt_key(kb, s.rng.below(keys));
        fld(msg, 1, kb, size_t(n));
        if (k == SGET) fint(msg, 7, 1);
        call(c, s, KR);
        break;
      }
      case RANGE: {
        msg.clear();
        int n = fmt_key(kb, s.rng.below(keys)) - int(prefdig);
        fld(msg, 1, kb, size_t(n));
        kb[n - 1]++;
        fld(msg, 2, kb, size_t(n));
        call(c, s, KR);
        break;
      }
      case CAS: {
        if (s.cache.empty()) s.cache.assign(8, 0);
        if (s.stage == 0) s.a = s.rng.below(8);
        uint64_t key = own(s, s.a);
        msg.clear();
        cmp(key, s.cache[s.a]);
        std::string v;
        vals.put(v, s.rng, vsize);
        opput(2, key, v.data(), v.size());
        oprange(3, key);
        call(c, s, KT);
        break;
      }
      case CAS2: {
        if (s.cache.empty()) s.cache.assign(8, 0);
        if (s.stage == 0) {
          s.a = s.rng.below(8);
          s.b = (s.a + 1 + s.rng.below(7)) % 8;
        }
        uint64_t ka = own(s, s.a), kb2 = own(s, s.b);
        msg.clear();
        cmp(ka, s.cache[s.a]);
        cmp(kb2, s.cache[s.b]);
        std::string v;
        vals.put(v, s.rng, vsize);
        opput(2, ka, v.data(), v.size());
        opput(2, kb2, v.data(), v.size());
        oprange(3, ka);
        oprange(3, kb2);
        call(c, s, KT);
        break;
      }
      case XFER:
        if (s.stage == 0) {
          s.a = s.rng.below(keys);
          do s.b = s.rng.below(keys);
          while (s.b == s.a);
        }
        msg.clear();
        if (s.stage == 0 || s.stage == 2) {
          oprange(2, s.a);
          oprange(2, s.b);
          s.stage = 1;
        } else {
          cmp(s.a, s.ra);
          cmp(s.b, s.rb);
          std::string v(vsize, '.');
          char t[32];
          snprintf(t, sizeof t, "%016ld", long(s.va - 1));
          v.replace(0, 16, t, 16);
          opput(2, s.a, v.data(), v.size());
          snprintf(t, sizeof t, "%016ld", long(s.vb + 1));
          v.replace(0, 16, t, 16);
          opput(2, s.b, v.data(), v.size());
          s.stage = 3;
        }
        call(c, s, KT);
        break;
      case LEASEPUT: {
        int64_t& L = leases[s.id & 63];
        if (!L) {
          msg.clear();
          fint(msg, 1, ttl);
          s.stage = 1;
          call(c, s, LG);
          break;
        }
        s.stage = 0;
        put(s, s.rng.below(keys), L);
        call(c, s, KP);
        break;
      }
      case LEASEOWN:
        if (s.stage == 0) {
          msg.clear();
          fint(msg, 1, ttl);
          s.stage = 1;
          call(c, s, LG);
        } else {
          s.stage = 2;
          put(s, s.rng.below(keys), s.lease);
          call(c, s, KP);
        }
        break;
    }
  }
  // TxnResponse helper: fills revision, succeeded, kvs in order (mod_rev,value)
  struct KV {
    int64_t mod = 0;
    const uint8_t* v = nullptr;
    size_t n = 0;
  };
  int64_t hrev(const uint8_t* s, size_t n) {
    Pb h(s, n);
    while (h.next())
      if (h.f == 3) return int64_t(h.v);
    return 0;
  }
  Res reply(Slot& s) {
    if (s.body.size() < 5) return FAIL;
    const uint8_t* b = (const uint8_t*)s.body.data() + 5;
    size_t n = s.body.size() - 5;
    switch (op) {
      case GET:
      case SGET: {
        Pb m(b, n);
        bool f = false;
        while (m.next())
          if (m.f == 2) {
            f = true;
            break;
          }
        if (!f) R->misses++;
        return OK_DONE;
      }
      case RANGE: {
        Pb m(b, n);
        int k = 0;
        while (m.next())
          if (m.f == 2) k++;
        if (k != 100) R->misses++;
        return OK_DONE;
      }
      case CAS:
      case CAS2:
      case XFER: {
        Pb m(b, n);
        int64_t rev = 0;
        bool ok = false;
        KV kv[2];
        int nk = 0;
        while (m.next()) {
          if (m.f == 1)
            rev = hrev(m.s, m.n);
          else if (m.f == 2)
            ok = m.v;
          else if (m.f == 3) {
            Pb ro(m.s, m.n);
            while (ro.next())
              if (ro.f == 1) {
                KV x;
                Pb rr(ro.s, ro.n);
                while (rr.next())
                  if (rr.f == 2) {
                    Pb q(rr.s, rr.n);
                    while (q.next()) {
                      if (q.f == 3)
                        x.mod = int64_t(q.v);
                      else if (q.f == 5) {
                        x.v = q.s;
                        x.n = q.n;
                      }
                    }
                  }
                if (nk < 2) kv[nk++] = x;
              }
          }
        }
        if (op == XFER) {
          if (s.stage == 1) {
            if (nk != 2) return FAIL;
            s.ra = kv[0].mod;
            s.rb = kv[1].mod;
            auto num = [](const KV& k) {
              int64_t r = 0;
              bool dig = k.n > 0;
              for (size_t i = 0; i < 16 && i < k.n; i++) {
                if (k.v[i] < '0' || k.v[i] > '9') {
                  dig = false;
                  break;
                }
                r = r * 10 + (k.v[i] - '0');
              }
              return dig ? r : 1000000;
            };
            s.va = num(kv[0]);
            s.vb = num(kv[1]);
            return OK_MORE;
          }
          if (ok) return OK_DONE;
          R->conflicts++;
          s.stage = 2;
          return OK_MORE;
        }
        if (ok) {
          s.cache[s.a] = rev;
          if (op == CAS2) s.cache[s.b] = rev;
          return OK_DONE;
        }
        R->conflicts++;
        s.cache[s.a] = kv[0].mod;
        if (op == CAS2) s.cache[s.b] = kv[1].mod;
        s.stage = 1;
        return OK_MORE;
      }
      case LEASEPUT:
        if (s.stage == 1) {
          Pb m(b, n);
          while (m.next())
            if (m.f == 2) leases[s.id & 63] = int64_t(m.v);
          return OK_MORE;
        }
        return OK_DONE;
      case LEASEOWN:
        if (s.stage == 1) {
          Pb m(b, n);
          while (m.next())
            if (m.f == 2) s.lease = int64_t(m.v);
          return OK_MORE;
        }
        return OK_DONE;
      default:
        return OK_DONE;
    }
  }
  size_t parse(Conn& c, Runner<Etcd>& r) {
    size_t pos = 0;
    while (c.inlen - pos >= 9) {
      const uint8_t* h = (const uint8_t*)c.in.data() + pos;
      size_t len = size_t(h[0]) << 16 | size_t(h[1]) << 8 | h[2];
      if (c.inlen - pos < 9 + len) {
        if (9 + len > c.in.size()) c.in.resize(9 + len + 65536);
        break;
      }
      int type = h[3], fl = h[4];
      uint32_t id = (uint32_t(h[5]) << 24 | uint32_t(h[6]) << 16 | uint32_t(h[7]) << 8 | h[8]) & 0x7fffffff;
      const uint8_t* pl = h + 9;
      pos += 9 + len;
      if (type == 4) {
        if (!(fl & 1)) frame(c.out, 0, 4, 1, 0);
      } else if (type == 6) {
        if (!(fl & 1)) {
          frame(c.out, 8, 6, 1, 0);
          c.out.append((const char*)pl, 8);
        }
      } else if (type == 8) {
        if (id == 0)
          c.send_win += long((uint32_t(pl[0]) << 24 | uint32_t(pl[1]) << 16 | uint32_t(pl[2]) << 8 | pl[3]) & 0x7fffffff);
      } else if (type == 7) { /* GOAWAY */
      } else if (type == 0 || type == 1 || type == 3) {
        auto& e = c.smap[(id >> 1) & 65535];
        bool mine = e.first == id && e.second >= 0;
        if (type == 0) {
          c.consumed += len;
          if (c.consumed > (1u << 28)) {
            wu(c, uint32_t(c.consumed));
            c.consumed = 0;
          }
          if (mine) r.slots[size_t(e.second)].body.append((const char*)pl, len);
        }
        if (mine && (type == 3 || (fl & 1))) {
          Slot& s = r.slots[size_t(e.second)];
          e = {0, -1};
          if (type == 3) s.body.clear();
          r.complete(s, reply(s));
        }
      }
    }
    return pos;
  }
};
int main(int c, char** v) {
  Opts o(c, v);
  Etcd e(o);
  Runner<Etcd> r(o, e);
  e.R = &r;
  return r.run();
}
