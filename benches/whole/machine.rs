//! What the machine tells: processor time, memory, free ports; and where a process runs.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
    time::Duration,
};

/// Microseconds of processor time for each item.
pub fn per_item(cpu: Duration, items: usize) -> f64 {
    cpu.as_secs_f64() * 1e6 / items as f64
}

/// The value below which so many of a hundred lie.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}

/// The most memory that a process has had, in MiB.
pub fn peak_mib(process: u32) -> f64 {
    memory(process, "VmHWM:")
}

/// The memory that a process has now, in MiB.
pub fn resident_mib(process: u32) -> f64 {
    memory(process, "VmRSS:")
}

fn memory(process: u32, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("/proc is there");
    let line = status.lines().find(|line| line.starts_with(what)).expect("a figure");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
}

/// User and system time of a process, its ended threads included.
pub fn cpu_of(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("/proc is there");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    // The kernel counts in hundredths of a second.
    Duration::from_millis(ticks * 10)
}

/// Keeps a process, with all its threads, on one processor.
pub fn pin(process: u32, processor: u32) {
    let pinned = Command::new("taskset")
        .args(["-a", "-c", "-p", &processor.to_string(), &process.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !pinned.is_ok_and(|status| status.success()) {
        println!("  (could not pin process {process} to processor {processor}: figures are less steady)");
    }
}

/// An address that nobody listens on.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}
