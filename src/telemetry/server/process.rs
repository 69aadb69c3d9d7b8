//! The process metrics that Prometheus' client libraries report, from Linux.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::telemetry::metrics::Process;

/// Reads the process metrics; `None` without `/proc`.
pub(super) fn read(started: SystemTime) -> Option<Process> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let files = fs::read_dir("/proc/self/fd").ok()?.count();
    let since_1970 = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(Process {
        cpu: Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default(),
        resident_bytes: resident_bytes(&status)?,
        started: since_1970.as_secs_f64(),
        // Without the descriptor of the listing itself.
        open_fds: files.saturating_sub(1) as u64,
        max_fds: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
    })
}

/// The resident memory, from `/proc/self/status` (proc_pid_status(5)).
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_kibibytes() {
        let status = "Name:\toperator\nVmPeak:\t  20480 kB\nVmRSS:\t   10240 kB\nThreads:\t3\n";
        assert_eq!(resident_bytes(status), Some(10 << 20));
        assert_eq!(resident_bytes("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn this_process_is_measured() {
        let held: Vec<_> = (0..50)
            .map(|_| fs::File::open("/proc/self/status").unwrap())
            .collect();
        let now = SystemTime::now();
        let process = read(now).expect("tests run on Linux");
        assert!(process.open_fds >= 50, "{process:?}");
        assert!(process.max_fds >= process.open_fds, "{process:?}");
        assert!(process.resident_bytes > 1 << 20, "{process:?}");
        assert!(process.cpu > Duration::ZERO, "{process:?}");
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert_eq!(process.started, since_1970);
        drop(held);
    }
}
