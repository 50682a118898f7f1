//! What this process takes, as the kernel tells it (proc(5)).

use sallyport_model::authority::Figures;

/// Memory and open files of this process; nothing of what the kernel does not tell.
#[must_use]
pub fn own() -> Figures {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).and_then(|rest| rest.trim().strip_suffix("kB"));
    let memory = resident.and_then(|kib| kib.trim().parse::<u64>().ok()).map_or(0, |kib| kib.saturating_mul(1024));
    // The listing itself is one of them.
    let files = std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
    Figures { memory, files: u64::try_from(files).unwrap_or(u64::MAX), sessions: 0 }
}

#[cfg(test)]
mod tests {
    use super::own;

    #[test]
    fn a_process_holds_memory_and_each_file_counts() {
        let before = own();
        assert!(before.memory > 1 << 20, "{before:?}");
        let files: Vec<_> = (0..64).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        assert!(own().files >= 64, "{before:?}");
        drop(files);
    }
}
