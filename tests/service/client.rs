//! A server on a free port, in this process or in one that can be killed, and a client that says exactly what it is told to.

use std::future::poll_fn;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use verimetry_engine::runtime::BackendChoice;
use verimetry_server::failure::Failure;
use verimetry_server::http::{self, Limits, Settings};
use verimetry_server::jobs::{Engine, Judge};
use verimetry_server::keys;

use crate::stand_in;

const DATA: &str = "VERIMETRY_TEST_DATA";

#[derive(Default)]
struct Stop {
    wanted: bool,
    waker: Option<Waker>,
}

/// A running server; dropped, it is stopped.
pub struct Server {
    pub address: SocketAddr,
    data: PathBuf,
    stop: Arc<Mutex<Stop>>,
    thread: Option<JoinHandle<()>>,
    child: Option<Child>,
    _home: Option<tempfile::TempDir>,
}

impl Server {
    pub fn start(judge: Judge) -> Server {
        Server::with(judge, Limits::default())
    }

    pub fn with(judge: Judge, limits: Limits) -> Server {
        let home = tempfile::tempdir().unwrap();
        let mut server = Server::at(home.path(), judge, limits);
        server._home = Some(home);
        server
    }

    pub fn at(data: &Path, judge: Judge, limits: Limits) -> Server {
        let stop = Arc::<Mutex<Stop>>::default();
        let stopped = {
            let stop = stop.clone();
            poll_fn(move |cx| {
                let mut stop = stop.lock().unwrap();
                stop.waker = Some(cx.waker().clone());
                if stop.wanted { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        let settings = settings(data, judge, limits);
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || http::serve(settings, |address| tell.send(address).unwrap(), stopped).unwrap());
        let address = told.recv_timeout(Duration::from_secs(20)).expect("the server starts");
        Server { address, data: data.into(), stop, thread: Some(thread), child: None, _home: None }
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn job_folder(&self, place: &str) -> PathBuf {
        self.data.join("jobs").join(place.rsplit('/').next().unwrap())
    }

    pub fn open_gate(&self) {
        std::fs::write(stand_in::gate(&self.data), "").unwrap();
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a child");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        let waker = {
            let mut stop = self.stop.lock().unwrap();
            stop.wanted = true;
            stop.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

fn settings(data: &Path, judge: Judge, limits: Limits) -> Settings {
    Settings {
        listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        data: data.into(),
        key: keys::users_key_at(&data.join("signing-key.pem")).unwrap().0,
        engine: Engine { judge, backend: BackendChoice::Cpu, memory_bytes: None },
        limits,
        workers: 1,
        allow_remote: false,
    }
}

/// A server that is expected not to start.
pub fn serve_once(data: &Path, judge: Judge) -> Result<(), Failure> {
    http::serve(settings(data, judge, Limits::default()), |_| (), std::future::ready(()))
}

/// This test binary as a server of its own process.
pub fn child(data: &Path) -> Server {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["serves_as_a_child", "--exact", "--ignored", "--nocapture"])
        .env(DATA, data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.map_while(Result::ok).find_map(|l| l.strip_prefix("listening ").map(|a| a.parse().unwrap()));
    let address = address.expect("the child tells its address");
    Server { address, data: data.into(), stop: Arc::default(), thread: None, child: Some(child), _home: None }
}

pub fn serve_as_a_child(judge: Judge) {
    let Some(data) = std::env::var_os(DATA) else { return };
    let settings = settings(Path::new(&data), judge, Limits::default());
    http::serve(settings, |address| println!("\nlistening {address}"), std::future::pending()).unwrap();
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

pub fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        head.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    exchange(address, &head, body)
}

/// The body in chunks, its length not announced.
pub fn send_chunked(address: SocketAddr, path: &str, kind: &str, body: &[u8]) -> Answer {
    let head =
        format!("POST {path} HTTP/1.1\r\nconnection: close\r\nhost: localhost\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n");
    let mut chunks = Vec::new();
    for chunk in body.chunks(1000) {
        chunks.extend(format!("{:x}\r\n", chunk.len()).bytes());
        chunks.extend(chunk);
        chunks.extend(b"\r\n");
    }
    chunks.extend(b"0\r\n\r\n");
    exchange(address, &head, &chunks)
}

fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut writing = stream.try_clone().unwrap();
    let request = [head.as_bytes(), b"\r\n", body].concat();
    // A server that refuses early stops reading: what it answered is still there to be read.
    let writer = std::thread::spawn(move || writing.write_all(&request).is_ok());
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..n]);
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
    writer.join().unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an HTTP answer");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
    Answer { status, headers, body: answer[end + 4..].to_vec() }
}

/// Content type and body of a multipart form: name, file name, content.
pub fn form(parts: &[(&str, Option<&str>, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file.map(|f| format!("; filename=\"{f}\"")).unwrap_or_default();
        body.extend(format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    ("multipart/form-data; boundary=edge".into(), body)
}

/// An order of these two files.
pub fn order(nominal: &str, actual: &str) -> Vec<u8> {
    format!(
        r#"schema = "verimetry/order/1"
[order]
id = "ORD-1"
device = "Test part"
device_id = "(01)1(21)1"
device_class = "customised"
implantable = true
patient = "P-1"
image_acquired = "2026-10-02"
design_completed = "2026-10-09"
[nominal]
file = "{nominal}"
[actual]
file = "{actual}"
[[requirement]]
id = "T1"
clause = "8.3.2.1 a)"
quantity = "deviation.abs_p99"
max = 0.1
"#
    )
    .into_bytes()
}
