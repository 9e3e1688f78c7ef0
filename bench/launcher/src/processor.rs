// SPDX-License-Identifier: GPL-2.0

//! How long the processor had something to do, from `/proc/schedstat`.

use std::fs;

/// Nanoseconds that tasks have run; [`None`] if the kernel does not say, or if there are several processors, which may
/// work while a program waits.
pub(crate) fn busy_ns() -> Option<u64> {
    parse(&fs::read_to_string("/proc/schedstat").ok()?)
}

fn parse(text: &str) -> Option<u64> {
    let mut processors = text.lines().filter(|line| line.starts_with("cpu"));
    let (Some(only), None) = (processors.next(), processors.next()) else {
        return None;
    };
    only.split_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "version 17\ntimestamp 4294900000\ncpu0 0 0 1201 400 610 609 987654321 1234 800\n";

    #[test]
    fn the_time_that_tasks_ran_is_the_seventh_figure() {
        assert_eq!(parse(ONE), Some(987_654_321));
    }

    #[test]
    fn several_processors_tell_nothing() {
        assert_eq!(parse(&format!("{ONE}cpu1 0 0 1 1 1 1 1 1 1\n")), None);
        assert_eq!(parse(""), None);
    }
}
