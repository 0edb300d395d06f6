// raftfloor - what a minimal 3-node replicated log + RocksDB costs on this machine: NO elections, no safety, just the
// steady-state data path (append+fdatasync on 3 nodes, 1-of-2 follower acks, apply to RocksDB without WAL, reply).
// It is a ceiling for a real store, not a peer.     build: g++ -O2 -std=c++17 -o raftfloor raftfloor.cc -lrocksdb -lpthread
//  raftfloor follower PORT DIR LOG ;  raftfloor leader PORT DIR LOG FP1 FP2      LOG = file | rocks
//  LOG=file: preallocated log file + fdatasync;  LOG=rocks: log entries in a RocksDB WriteBatch sync=true
//  client frames (see raftload.cc): [u32 len][u8 op][u64 id][key 12][value]  op 1 put, 2 get by read-index, 3 get by lease, 4
//  range 100
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/eventfd.h>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include "loadlib.h"
using namespace ll;
using std::string;
static rocksdb::DB* opendb(const string& d) {
  rocksdb::Options o;
  o.create_if_missing = true;
  o.recycle_log_file_num = 4;
  rocksdb::BlockBasedTableOptions t;
  t.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(t));
  rocksdb::DestroyDB(d, o);
  rocksdb::DB* db;
  auto s = rocksdb::DB::Open(o, d, &db);
  if (!s.ok()) {
    fprintf(stderr, "%s\n", s.ToString().c_str());
    exit(1);
  }
  return db;
}
struct Log {
  bool rocks;
  int fd = -1;
  size_t pos = 0;
  std::unique_ptr<rocksdb::DB> ldb;
  uint64_t idx = 0;
  Log(const string& dir, bool r) : rocks(r) {
    if (rocks)
      ldb.reset(opendb(dir + "/log"));
    else {
      fd = open((dir + "/log.dat").c_str(), O_CREAT | O_RDWR | O_TRUNC, 0644);
      string z(1 << 20, '\0');
      for (int i = 0; i < 128; i++)
        if (write(fd, z.data(), z.size()) < 0) exit(1);
      fsync(fd);
      lseek(fd, 0, SEEK_SET);
    }
  }
  void append(const char* p, size_t n) {  // p: sequence of [u32 len][entry]
    if (!rocks) {
      if (pos + n > (128u << 20)) {
        lseek(fd, 0, SEEK_SET);
        pos = 0;
      }
      if (write(fd, p, n) < 0) exit(1);
      pos += n;
      fdatasync(fd);
      return;
    }
    rocksdb::WriteBatch wb;
    size_t i = 0;
    while (i < n) {
      uint32_t l;
      memcpy(&l, p + i, 4);
      uint64_t be = __builtin_bswap64(idx++);
      wb.Put({(char*)&be, 8}, {p + i + 4, l});
      i += 4 + l;
    }
    rocksdb::WriteOptions w;
    w.sync = true;
    ldb->Write(w, &wb);
  }
};
struct Store {
  std::unique_ptr<rocksdb::DB> db;
  Store(const string& d) : db(opendb(d)) {}
  void apply(const char* p, size_t n) {
    rocksdb::WriteBatch wb;
    size_t i = 0;
    while (i < n) {
      uint32_t l;
      memcpy(&l, p + i, 4);
      wb.Put({p + i + 4, 12}, {p + i + 16, l - 12});
      i += 4 + l;
    }
    rocksdb::WriteOptions w;
    w.disableWAL = true;
    db->Write(w, &wb);
  }
};
static int lsock(int port) {
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(uint16_t(port));
  if (bind(s, (sockaddr*)&a, sizeof a)) {
    perror("bind");
    exit(1);
  }
  listen(s, 1024);
  return s;
}
static void nodelay(int s) {
  int one = 1;
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}
static void wall(int fd, const char* p, size_t n) {
  while (n) {
    ssize_t w = write(fd, p, n);
    if (w > 0) {
      p += w;
      n -= size_t(w);
    } else if (errno == EAGAIN)
      usleep(50);
    else
      exit(0);
  }
}
// leader->follower: [u32 len][u8 type 1=append 2=hb][u64 seq][u64 commit_seq][entries]; follower->leader: [u8 type][u64 seq]
static int follower(int port, const string& dir, bool rocks) {
  Log log(dir, rocks);
  Store st(dir + "/kv");
  int ls = lsock(port), s = accept(ls, 0, 0);
  nodelay(s);
  std::vector<char> in(8 << 20);
  size_t n = 0;
  std::deque<std::pair<uint64_t, string>> un;
  string buf;
  for (;;) {
    ssize_t r = read(s, in.data() + n, in.size() - n);
    if (r <= 0) return 0;
    n += size_t(r);
    size_t p = 0;
    uint64_t aseq = 0, hseq = 0, commit = 0;
    buf.clear();
    while (n - p >= 4) {
      uint32_t l;
      memcpy(&l, &in[p], 4);
      if (n - p < 4 + l) break;
      char* q = &in[p + 4];
      uint64_t seq;
      memcpy(&seq, q + 1, 8);
      memcpy(&commit, q + 9, 8);
      if (q[0] == 1) {
        aseq = seq;
        buf.append(q + 17, l - 17);
        un.emplace_back(seq, string(q + 17, l - 17));
      } else
        hseq = seq;
      p += 4 + l;
    }
    memmove(in.data(), in.data() + p, n - p);
    n -= p;
    char o[18];
    size_t ol = 0;
    if (hseq) {
      o[0] = 2;
      memcpy(o + 1, &hseq, 8);
      ol = 9;
      wall(s, o, ol);
      ol = 0;
    }
    if (aseq) {
      log.append(buf.data(), buf.size());
      o[0] = 1;
      memcpy(o + 1, &aseq, 8);
      wall(s, o, 9);
    }
    while (!un.empty() && un.front().first <= commit) {
      st.apply(un.front().second.data(), un.front().second.size());
      un.pop_front();
    }
  }
}
struct C {
  int fd;
  std::vector<char> in;
  size_t n = 0;
  string out;
};
static int leader(int port, const string& dir, bool rocks, int f1, int f2) {
  Log log(dir, rocks);
  Store st(dir + "/kv");
  int fs[2], fp[2] = {f1, f2};
  for (int i = 0; i < 2; i++) {
    fs[i] = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.sin_port = htons(uint16_t(fp[i]));
    while (connect(fs[i], (sockaddr*)&a, sizeof a)) {
      close(fs[i]);
      usleep(20000);
      fs[i] = socket(AF_INET, SOCK_STREAM, 0);
    }
    nodelay(fs[i]);
    fcntl(fs[i], F_SETFL, O_NONBLOCK);
  }
  int ls = lsock(port);
  fcntl(ls, F_SETFL, O_NONBLOCK);
  int ep = epoll_create1(0), ev = eventfd(0, EFD_NONBLOCK);
  std::vector<C*> cs(4096, nullptr);
  auto add = [&](int fd) {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = fd;
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
  };
  add(ls);
  add(ev);
  add(fs[0]);
  add(fs[1]);
  struct Batch {
    uint64_t seq;
    string ent;
    std::vector<std::pair<int, uint64_t>> who;
  };
  std::deque<std::shared_ptr<Batch>> q;
  std::shared_ptr<Batch> cur = std::make_shared<Batch>();
  uint64_t seq = 0, local = 0, ack[2] = {0, 0}, commit = 0, hseq = 0, hack = 0;
  struct Rd {
    uint64_t seq;
    int fd;
    uint64_t id;
    char key[12];
    char op;
  };
  std::deque<Rd> rds;
  std::vector<Rd> newrds;
  string fb[2];
  size_t fo = 0;
  (void)fo;
  std::mutex mu;
  std::condition_variable cv;
  std::shared_ptr<Batch> job;
  bool busy = false;
  uint64_t done = 0;
  std::thread ft([&] {
    for (;;) {
      std::shared_ptr<Batch> b;
      {
        std::unique_lock<std::mutex> l(mu);
        cv.wait(l, [&] { return job != nullptr; });
        b = std::move(job);
        job = nullptr;
      }
      log.append(b->ent.data(), b->ent.size());
      {
        std::lock_guard<std::mutex> l(mu);
        done = b->seq;
      }
      uint64_t one = 1;
      if (write(ev, &one, 8) < 0) exit(1);
    }
  });
  auto reply = [&](int fd, uint64_t id, const char* v, size_t n) {
    C* c = cs[size_t(fd)];
    if (!c) return;
    uint32_t l = uint32_t(8 + n);
    c->out.append((char*)&l, 4);
    c->out.append((char*)&id, 8);
    c->out.append(v, n);
  };
  auto serve = [&](const Rd& r) {
    if (r.op == 4) {
      string o;
      std::unique_ptr<rocksdb::Iterator> it(st.db->NewIterator({}));
      int k = 0;
      for (it->Seek({r.key, 12}); it->Valid() && k < 100; it->Next(), k++) {
        o.append(it->key().data(), it->key().size());
        o.append(it->value().data(), it->value().size());
      }
      reply(r.fd, r.id, o.data(), o.size());
    } else {
      rocksdb::PinnableSlice v;
      st.db->Get({}, st.db->DefaultColumnFamily(), {r.key, 12}, &v);
      reply(r.fd, r.id, v.data(), v.size());
    }
  };
  std::vector<epoll_event> evs(512);
  std::vector<int> dirty;
  for (;;) {
    int n = epoll_wait(ep, evs.data(), 512, -1);
    bool acked = false;
    for (int i = 0; i < n; i++) {
      int fd = evs[size_t(i)].data.fd;
      if (fd == ls) {
        int s;
        while ((s = accept(ls, 0, 0)) >= 0) {
          nodelay(s);
          fcntl(s, F_SETFL, O_NONBLOCK);
          cs[size_t(s)] = new C{s, std::vector<char>(65536), 0, {}};
          add(s);
        }
      } else if (fd == ev) {
        uint64_t x;
        if (read(ev, &x, 8) < 0) continue;
        std::lock_guard<std::mutex> l(mu);
        local = done;
        busy = false;
        acked = true;
      } else if (fd == fs[0] || fd == fs[1]) {
        int k = fd == fs[1];
        char b[4096];
        ssize_t r = read(fd, b, sizeof b);
        if (r <= 0) {
          if (r < 0 && errno == EAGAIN) continue;
          exit(0);
        }
        fb[k].append(b, size_t(r));
        size_t p = 0;
        while (fb[k].size() - p >= 9) {
          uint64_t s;
          memcpy(&s, &fb[k][p + 1], 8);
          if (fb[k][p] == 1)
            ack[k] = s;
          else
            hack = std::max(hack, s);
          p += 9;
        }
        fb[k].erase(0, p);
        acked = true;
      } else {
        C* c = cs[size_t(fd)];
        ssize_t r = read(fd, c->in.data() + c->n, c->in.size() - c->n);
        if (r <= 0) {
          if (r < 0 && errno == EAGAIN) continue;
          close(fd);
          delete c;
          cs[size_t(fd)] = nullptr;
          continue;
        }
        c->n += size_t(r);
        size_t p = 0;
        while (c->n - p >= 4) {
          uint32_t l;
          memcpy(&l, &c->in[p], 4);
          if (c->n - p < 4 + l) break;
          char* m = &c->in[p + 4];
          uint64_t id;
          memcpy(&id, m + 1, 8);
          if (m[0] == 1) {
            uint32_t el = l - 9;
            cur->ent.append((char*)&el, 4);
            cur->ent.append(m + 9, el);
            cur->who.emplace_back(fd, id);
          } else {
            Rd rd{0, fd, id, {}, m[0]};
            memcpy(rd.key, m + 9, 12);
            if (m[0] == 3) {
              serve(rd);
              dirty.push_back(fd);
            } else
              newrds.push_back(rd);
          }
          p += 4 + l;
        }
        memmove(c->in.data(), c->in.data() + p, c->n - p);
        c->n -= p;
      }
    }
    if (acked) {
      uint64_t maj = std::min(std::max(local, std::min(ack[0], ack[1])), std::max(ack[0], ack[1]));
      uint64_t nc = maj;
      if (nc > commit) {
        commit = nc;
        while (!q.empty() && q.front()->seq <= commit) {
          auto b = q.front();
          q.pop_front();
          st.apply(b->ent.data(), b->ent.size());
          for (auto& w : b->who) {
            reply(w.first, w.second, "", 0);
            dirty.push_back(w.first);
          }
        }
      }
      while (!rds.empty() && rds.front().seq <= hack) {
        serve(rds.front());
        dirty.push_back(rds.front().fd);
        rds.pop_front();
      }
    }
    string hdr;
    auto hd = [&](char t, uint64_t s, size_t body) {
      hdr.clear();
      uint32_t l = uint32_t(17 + body);
      hdr.append((char*)&l, 4);
      hdr += t;
      hdr.append((char*)&s, 8);
      hdr.append((char*)&commit, 8);
    };
    if (!newrds.empty()) {
      ++hseq;
      for (auto& r : newrds) {
        r.seq = hseq;
        rds.push_back(r);
      }
      newrds.clear();
      hd(2, hseq, 0);
      for (int s : fs) wall(s, hdr.data(), hdr.size());
    }
    if (!busy && !cur->who.empty()) {
      cur->seq = ++seq;
      hd(1, seq, cur->ent.size());
      hdr += cur->ent;
      for (int s : fs) wall(s, hdr.data(), hdr.size());
      q.push_back(cur);
      {
        std::lock_guard<std::mutex> l(mu);
        job = cur;
        busy = true;
      }
      cv.notify_one();
      cur = std::make_shared<Batch>();
    }
    for (int fd : dirty) {
      C* c = cs[size_t(fd)];
      if (c && !c->out.empty()) {
        wall(fd, c->out.data(), c->out.size());
        c->out.clear();
      }
    }
    dirty.clear();
  }
}
int main(int c, char** v) {
  signal(SIGPIPE, SIG_IGN);
  if (c < 5) return 2;
  string m = v[1];
  if (system(("mkdir -p " + string(v[3])).c_str())) return 1;
  bool rocks = string(v[4]) == "rocks";
  return m == "follower" ? follower(atoi(v[2]), v[3], rocks) : leader(atoi(v[2]), v[3], rocks, atoi(v[5]), atoi(v[6]));
}
