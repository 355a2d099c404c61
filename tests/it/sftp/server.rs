//! OpenSSH's server, started without privileges on a free port of this machine, with keys that live as long as the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use d365map::connect::sftp::{HostKey, Sftp, SftpConfig};
use secrecy::SecretString;
use tempfile::TempDir;

/// A running server. Its user begins in `home`; `home/d365_loads/exports` and `home/logs` are there.
pub struct Server {
    folder: TempDir,
    child: Child,
    pub port: u16,
    pub user: String,
}

/// What differs from server to server.
#[derive(Default)]
pub struct Options {
    /// Kinds of host keys; `ed25519` when empty.
    pub host_keys: &'static [&'static str],
    /// No SFTP at all.
    pub without_sftp: bool,
    /// Writing is refused.
    pub read_only: bool,
    /// The key exchanges that the server offers (`KexAlgorithms`); its own choice without it.
    pub key_exchanges: Option<&'static str>,
}

fn sshd() -> PathBuf {
    let places = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd", "/usr/bin/sshd"].map(PathBuf::from);
    let found = places.into_iter().find(|place| place.is_file());
    found.expect("these tests need OpenSSH's server, sshd: install the package openssh-server (apt-get install openssh-server)")
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|e| panic!("{program} cannot be started: {e}; install openssh-client"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Makes a key pair; `args` choose its kind and form.
pub fn keygen(file: &Path, args: &[&str]) -> String {
    let path = file.to_str().expect("a path");
    run("ssh-keygen", &[&["-q", "-C", "test", "-f", path], args].concat());
    std::fs::read_to_string(file).expect("the private key")
}

impl Server {
    pub fn start(options: &Options) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["home/d365_loads/exports", "home/logs"] {
            std::fs::create_dir_all(at(name)).expect("a folder");
        }
        keygen(&at("user"), &["-t", "ed25519", "-N", ""]);
        std::fs::copy(at("user.pub"), at("authorized_keys")).expect("the user's key");
        let kinds = if options.host_keys.is_empty() { &["ed25519"] } else { options.host_keys };
        for kind in kinds {
            keygen(&at(&format!("host_{kind}")), &["-t", kind, "-N", ""]);
        }
        let user = run("id", &["-un"]);
        if user == "root" {
            // sshd insists on it when it is root; a package's service makes it at boot.
            std::fs::create_dir_all("/run/sshd").expect("/run/sshd");
        }
        let server = sshd();
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
            let home = at("home");
            let mut config = format!(
                "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
                 PermitRootLogin prohibit-password\nAuthorizedKeysFile {}\nMaxStartups 100\n",
                at("authorized_keys").display()
            );
            for kind in kinds {
                config += &format!("HostKey {}\n", at(&format!("host_{kind}")).display());
            }
            if let Some(names) = options.key_exchanges {
                config += &format!("KexAlgorithms {names}\n");
            }
            if !options.without_sftp {
                let read_only = if options.read_only { " -R" } else { "" };
                config += &format!("Subsystem sftp internal-sftp -d {}{read_only}\n", home.display());
            }
            std::fs::write(at("sshd_config"), config).expect("the configuration");
            let log = std::fs::File::create(at("log")).expect("a log");
            let mut child = Command::new(&server)
                .args(["-D", "-e", "-f"])
                .arg(at("sshd_config"))
                .stdin(Stdio::null())
                .stderr(log)
                .spawn()
                .expect("sshd starts");
            let until = Instant::now() + Duration::from_secs(10);
            while Instant::now() < until && child.try_wait().expect("a status").is_none() {
                if greets(port) {
                    return Server { folder, child, port, user };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            // Somebody else may have taken the port.
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("sshd does not start: {}", std::fs::read_to_string(at("log")).unwrap_or_default());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn exports(&self) -> PathBuf {
        self.path("home/d365_loads/exports")
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.exports().join(name), content).expect("an export");
    }

    pub fn append(&self, name: &str, content: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.exports().join(name)).expect("an export");
        file.write_all(content.as_bytes()).expect("written");
    }

    /// The user's private key.
    pub fn key(&self) -> SecretString {
        SecretString::from(std::fs::read_to_string(self.path("user")).expect("a key"))
    }

    /// The public host key of a kind, as in its file: kind, key, comment.
    pub fn host_key(&self, kind: &str) -> String {
        std::fs::read_to_string(self.path(&format!("host_{kind}.pub"))).expect("a key").trim().to_owned()
    }

    pub fn fingerprint(&self, kind: &str) -> String {
        let file = self.path(&format!("host_{kind}.pub"));
        run("ssh-keygen", &["-l", "-f", file.to_str().expect("a path")]).split(' ').nth(1).expect("a fingerprint").to_owned()
    }

    /// A file of known hosts with one line for this server.
    pub fn known_hosts(&self, name: &str, key: &str) -> PathBuf {
        let file = self.path(name);
        std::fs::write(&file, format!("[127.0.0.1]:{} {key}\n", self.port)).expect("known hosts");
        file
    }

    pub fn config(&self) -> SftpConfig {
        let known = self.known_hosts("known", &self.host_key("ed25519"));
        let mut config = SftpConfig::new("127.0.0.1", self.user.clone(), self.key(), HostKey::KnownHosts(known));
        config.port = self.port;
        config.logs = Some("logs".to_owned());
        config.first_pause = Duration::from_millis(10);
        config.settle = Duration::from_millis(150);
        config
    }

    pub fn client(&self) -> Sftp {
        Sftp::new(self.config()).expect("a configuration")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Only this log says why it refuses a client.
            eprintln!("sshd: {}", std::fs::read_to_string(self.path("log")).unwrap_or_default());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn greets(port: u16) -> bool {
    let mut greeting = [0; 4];
    TcpStream::connect(("127.0.0.1", port)).and_then(|mut s| s.read_exact(&mut greeting)).is_ok() && &greeting == b"SSH-"
}

/// A line to the server that breaks: each of the first connections ends after this number of bytes from the server.
pub struct Line {
    pub port: u16,
    pub connections: Arc<AtomicUsize>,
    pub bytes: Arc<AtomicU64>,
}

impl Line {
    pub fn to(server: u16, cuts: &'static [usize]) -> Line {
        Line::begun(server, cuts, false)
    }

    /// Falls silent where the other one breaks.
    pub fn falling_silent(server: u16, cuts: &'static [usize]) -> Line {
        Line::begun(server, cuts, true)
    }

    fn begun(server: u16, cuts: &'static [usize], silent: bool) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let line = Line { port: listener.local_addr().expect("an address").port(), connections: Arc::default(), bytes: Arc::default() };
        let (connections, bytes) = (line.connections.clone(), line.bytes.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server))) else { return };
                let (mut up_from, mut up_to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up_from, &mut up_to);
                    let _ = up_to.shutdown(std::net::Shutdown::Both);
                });
                let bytes = bytes.clone();
                std::thread::spawn(move || carry(server, client, cuts.get(number).copied(), silent, &bytes));
            }
        });
        line
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, cut: Option<usize>, silent: bool, bytes: &AtomicU64) {
    let mut left = cut.unwrap_or(usize::MAX);
    let mut piece = [0; 16 * 1024];
    while left > 0 {
        let most = left.min(piece.len());
        let Ok(count) = from.read(&mut piece[..most]) else { break };
        if count == 0 || to.write_all(&piece[..count]).is_err() {
            break;
        }
        bytes.fetch_add(count as u64, Ordering::SeqCst);
        left -= count;
    }
    if left == 0 && silent {
        // Until the client has had enough, or for longer than any test takes.
        let _ = to.set_read_timeout(Some(Duration::from_secs(60)));
        while to.read(&mut piece).is_ok_and(|count| count > 0) {}
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
