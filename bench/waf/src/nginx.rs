//! nginx with libmodsecurity3 as Debian ships them, on the same rules and requests: processor time of its worker.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::requests::Request;

/// A running nginx, in a folder of its own.
pub struct Nginx {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Nginx {
    /// Starts it; without rules it only proxies.
    pub fn start(folder: &Path, rules: Option<&str>) -> Result<Self> {
        let place =
            std::env::temp_dir().join(format!("bench-waf-{}-{}", std::process::id(), u8::from(rules.is_some())));
        std::fs::create_dir_all(&place)?;
        let (backend, port) = (backend()?, TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let modsecurity = match rules {
            None => String::new(),
            Some(setup) => {
                let file = place.join("rules.conf");
                let crs = folder.display();
                std::fs::write(
                    &file,
                    format!("{setup}\nInclude {crs}/crs-setup.conf.example\nInclude {crs}/rules/*.conf\n"),
                )?;
                format!("modsecurity on; modsecurity_rules_file {};", file.display())
            }
        };
        let configuration = CONFIGURATION
            .replace("PLACE", &place.display().to_string())
            .replace("MODSECURITY", &modsecurity)
            .replace("BACKEND", &backend.to_string())
            .replace("PORT", &port.to_string());
        let file = place.join("nginx.conf");
        std::fs::write(&file, configuration)?;
        let mut child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("nginx is missing")?;
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(Self { child, folder: place, port });
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        child.kill()?;
        bail!("nginx does not listen; see {}", place.display())
    }

    /// Microseconds of the processor for each request, all sent over one connection.
    pub fn round(&self, requests: &[Request]) -> Result<f64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let before = spent(self.child.id())?;
        for request in requests {
            send(&mut stream, request)?;
        }
        // The clock of processes ticks a hundred times a second.
        Ok((spent(self.child.id())? - before) as f64 * 10_000.0 / requests.len() as f64)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

fn send(stream: &mut TcpStream, request: &Request) -> Result<()> {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.target.replace(' ', "+"));
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(&[text.as_bytes(), &request.body].concat())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.ends_with(ANSWER) {
        let count = stream.read(&mut piece)?;
        ensure!(count > 0, "nginx hung up: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..count]);
        ensure!(
            !answer.starts_with(b"HTTP/1.1 4") && !answer.starts_with(b"HTTP/1.1 5"),
            "refused: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    Ok(())
}

/// A backend that answers every request alike; it reads bodies by their length.
fn backend() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(port)
}

fn serve(mut stream: TcpStream) -> Result<()> {
    let mut read = Vec::new();
    let mut piece = [0; 16_384];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        read.extend_from_slice(&piece[..count]);
        let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        if read.len() < end + 4 + length.unwrap_or(0) {
            continue;
        }
        read.clear();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", ANSWER.len());
        stream.write_all(&[head.as_bytes(), ANSWER].concat())?;
    }
}

/// Ticks of the processor that a process has taken.
fn spent(process: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(") ").context("no such process")?.1.split(' ').collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

const ANSWER: &[u8] = b"{\"ok\":true}";

const CONFIGURATION: &str = "
load_module /usr/lib/nginx/modules/ngx_http_modsecurity_module.so;
daemon off; master_process off; pid PLACE/pid; error_log PLACE/error.log error;
events { worker_connections 64; }
http {
  access_log off; client_body_buffer_size 64k; client_body_temp_path PLACE; proxy_temp_path PLACE;
  fastcgi_temp_path PLACE; uwsgi_temp_path PLACE; scgi_temp_path PLACE;
  upstream backend { server 127.0.0.1:BACKEND; keepalive 4; }
  server {
    listen 127.0.0.1:PORT; keepalive_requests 1000000;
    MODSECURITY
    location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ''; }
  }
}
";
