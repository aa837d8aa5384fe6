//! A real broker of Apache Kafka: one node that is broker and controller, on free ports of this machine.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The release that `cargo xtask install` brings.
const RELEASE: &str = "4.1.0";
/// A broker that is there already.
const GIVEN: &str = "PERENNIAL_TEST_KAFKA";
/// How long a start may take on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(180);

/// Runs what follows it until its input ends, which it does when the test's process ends, however it ends.
const WATCHER: &str =
    r#"dir=$1; shift; "$@" & broker=$!; read -r _; kill -9 $broker; wait $broker; rm -rf "$dir""#;

/// A broker. It ends with this value or with this process; one that was given by `PERENNIAL_TEST_KAFKA` is left as
/// it is.
pub struct Broker {
    address: String,
    watcher: Option<Child>,
}

impl Broker {
    /// Start a broker that keeps its files in `dir`, which is made and goes with it, or take the one that the
    /// environment names.
    ///
    /// # Errors
    /// When its jars are not there (`cargo xtask install` brings them), or it does not come up; the message has the
    /// end of its log.
    pub fn start(dir: &Path) -> io::Result<Self> {
        if let Ok(address) = std::env::var(GIVEN) {
            return Ok(Self { address, watcher: None });
        }
        let jars = jars()?;
        let (broker, controller) = (free_port()?, free_port()?);
        fs::create_dir_all(dir)?;
        let properties = dir.join("server.properties");
        fs::write(&properties, settings(broker, controller, &dir.join("data")))?;
        let formatted = java(&jars, "kafka.tools.StorageTool")
            .args(["format", "--cluster-id", "MkU3OEVBNTcwNTJENDM2Qg", "--config"])
            .arg(&properties)
            .output()?;
        if !formatted.status.success() {
            let told = String::from_utf8_lossy(&formatted.stderr).into_owned();
            return Err(io::Error::other(format!("the broker's storage could not be made: {told}")));
        }
        let log = dir.join("broker.log");
        let java = java(&jars, "kafka.Kafka");
        let watcher = Command::new("sh")
            .args(["-c", WATCHER, "sh"])
            .arg(dir)
            .arg(java.get_program())
            .args(java.get_args())
            .arg(&properties)
            .stdin(Stdio::piped())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .spawn()?;
        let mut starting = Self { address: format!("127.0.0.1:{broker}"), watcher: Some(watcher) };
        starting.await_port(broker, &log)?;
        Ok(starting)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn await_port(&mut self, port: u16, log: &Path) -> io::Result<()> {
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if began.elapsed() > START_WITHIN {
                let told = fs::read_to_string(log).unwrap_or_default();
                let last: Vec<&str> = told.lines().rev().take(20).collect();
                let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
                return Err(io::Error::other(format!("the broker did not come up:\n{last}")));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            drop(watcher.stdin.take());
            drop(watcher.wait());
        }
    }
}

/// The directory of the broker's jars, beside what cargo built this test into.
fn jars() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own.ancestors().map(|above| above.join("kafka").join(RELEASE)).find(|jars| jars.is_dir());
    found.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("the jars of Kafka {RELEASE} are not in the target directory; run cargo xtask install, or name a \
                     broker by {GIVEN}"),
        )
    })
}

fn java(jars: &Path, class: &str) -> Command {
    let mut command = Command::new("java");
    // Two cores and a short life: a small heap and the quick compiler alone.
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
    command.arg(jars.join("*")).arg(class).stdin(Stdio::null());
    command
}

fn settings(broker: u16, controller: u16, data: &Path) -> String {
    format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{broker}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={}\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=2\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n",
        data.display()
    )
}

/// A port that was free a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
