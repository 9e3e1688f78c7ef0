// SPDX-License-Identifier: GPL-2.0

//! Tests of [`policy::device`](super::super::policy::device).

use super::super::policy::device::Device;

const QUEUE: Device = Device {
    requests: Some(256),
    rotational: false,
};
const CARD: Device = Device {
    requests: Some(2),
    rotational: false,
};
const DISK: Device = Device {
    requests: Some(64),
    rotational: true,
};

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_device))]
mod tests {
    use super::*;

    #[test]
    fn a_deep_queue_is_half_used_and_no_hole_is_read() {
        assert_eq!((QUEUE.gap_pages(), QUEUE.inline_runs()), (0, 128));
    }

    #[test]
    fn a_hole_costs_less_than_another_request() {
        assert!(CARD.serves_singly() && DISK.serves_singly() && !QUEUE.serves_singly());
        assert_eq!((CARD.gap_pages(), DISK.gap_pages()), (8, 96));
        assert!(DISK.rotates() && !CARD.rotates());
    }

    #[test]
    fn what_is_needed_first_is_first_in_a_queue_that_is_served_singly() {
        assert_eq!(CARD.inline_runs(), u32::MAX);
    }

    #[test]
    fn a_card_gets_all_at_exec_for_many_pages_of_few_files() {
        assert!(CARD.gets_all_at_exec(10241, 40));
        assert!(!CARD.gets_all_at_exec(10240, 40));
        assert!(!CARD.gets_all_at_exec(10241, 41));
        assert!(!CARD.gets_all_at_exec(u64::MAX, u64::MAX));
        assert!(DISK.gets_all_at_exec(1, 1));
        assert!(!QUEUE.gets_all_at_exec(10241, 1));
    }

    #[test]
    fn a_queue_too_deep_for_a_disk_does_not_turn_whatever_it_says() {
        let virtio = Device {
            rotational: true,
            ..QUEUE
        };
        assert_eq!((virtio.gap_pages(), virtio.inline_runs()), (0, 128));
        assert!(!virtio.serves_singly());
    }

    #[test]
    fn what_is_not_known_is_taken_for_a_queue() {
        let unknown = Device {
            requests: None,
            rotational: false,
        };
        assert!(!unknown.serves_singly());
        assert_eq!((unknown.gap_pages(), unknown.inline_runs()), (0, 32));
    }
}
