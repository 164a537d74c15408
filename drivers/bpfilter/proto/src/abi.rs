// SPDX-License-Identifier: MIT OR Apache-2.0
//! The socket options of IPv4's tables of rules, as x86-64 processes know them: numbers, and where
//! the fields of each structure are.
//!
//! The structures are those of `include/uapi/linux/netfilter_ipv4/ip_tables.h` and
//! `include/uapi/linux/netfilter/x_tables.h`. Numbers are little-endian; a structure that holds a
//! number of 64 bits or an address begins at a multiple of [`ALIGN`].

/// `IPT_SO_SET_REPLACE`: takes a [`replace`], a whole table.
pub const SET_REPLACE: u32 = 64;
/// `IPT_SO_SET_ADD_COUNTERS`: takes [`counters_info`].
pub const SET_ADD_COUNTERS: u32 = 65;
/// `IPT_SO_GET_INFO`: gives [`info`].
pub const GET_INFO: u32 = 64;
/// `IPT_SO_GET_ENTRIES`: gives [`entries`].
pub const GET_ENTRIES: u32 = 65;
/// `IPT_SO_GET_REVISION_MATCH`: which matches the kernel has.
pub const GET_REVISION_MATCH: u32 = 66;

/// Points at which packets can enter a table, `NF_INET_NUMHOOKS`.
pub const HOOKS: usize = 5;
/// Bytes of a table's name with the zero behind it, `XT_TABLE_MAXNAMELEN`. It is the first field of
/// every structure that names a table.
pub const TABLE_NAME_LEN: usize = 32;
/// What structures are aligned to, `XT_ALIGN`.
pub const ALIGN: usize = 8;
/// Bytes of `struct xt_counters`: packets, then bytes, 64 bits each.
pub const COUNTER_LEN: usize = 16;

/// `struct ipt_getinfo`.
pub mod info {
    /// Bit n is set where packets can enter at hook n.
    pub const VALID_HOOKS: usize = 32;
    /// Offset of the first rule for each hook.
    pub const HOOK_ENTRY: usize = 36;
    /// Offset of the policy of each hook.
    pub const UNDERFLOW: usize = 56;
    /// Number of entries.
    pub const NUM_ENTRIES: usize = 76;
    /// Bytes of all entries.
    pub const SIZE: usize = 80;
    /// Bytes of the structure.
    pub const LEN: usize = 84;
}

/// `struct ipt_get_entries`.
pub mod entries {
    /// Bytes of all entries.
    pub const SIZE: usize = 32;
    /// Bytes of the structure; the entries follow.
    pub const LEN: usize = 40;
}

/// `struct ipt_replace`.
pub mod replace {
    /// Bit n is set where packets can enter at hook n.
    pub const VALID_HOOKS: usize = 32;
    /// Number of entries.
    pub const NUM_ENTRIES: usize = 36;
    /// Bytes of all entries.
    pub const SIZE: usize = 40;
    /// Offset of the first rule for each hook.
    pub const HOOK_ENTRY: usize = 44;
    /// Offset of the policy of each hook.
    pub const UNDERFLOW: usize = 64;
    /// Number of old counters that the caller expects: of entries that the table has so far.
    pub const NUM_COUNTERS: usize = 84;
    /// Where in its memory the caller expects the old counters.
    pub const COUNTERS: usize = 88;
    /// Bytes of the structure; the entries follow.
    pub const LEN: usize = 96;
}

/// `struct xt_counters_info`.
pub mod counters_info {
    /// Number of counters.
    pub const NUM_COUNTERS: usize = 32;
    /// Bytes of the structure; the counters follow.
    pub const LEN: usize = 40;
}

/// `struct ipt_entry`: what a packet must be like; then matches, then one target.
pub mod entry {
    /// Bytes of `struct ipt_ip`, at the entry's begin: addresses, interfaces, protocol, flags.
    pub const IP_LEN: usize = 84;
    /// Flags: bits of `IPT_F_MASK`.
    pub const FLAGS: usize = 82;
    /// What is inverted: bits of `IPT_INV_MASK`.
    pub const INVERSE_FLAGS: usize = 83;
    /// Offset of the target, 16 bits.
    pub const TARGET_OFFSET: usize = 88;
    /// Offset of the next entry, 16 bits.
    pub const NEXT_OFFSET: usize = 90;
    /// The kernel's own note; no meaning to others.
    pub const COMEFROM: usize = 92;
    /// Packets and bytes that the rule has met.
    pub const COUNTERS: usize = 96;
    /// Bytes of the structure; matches and target follow.
    pub const LEN: usize = 112;

    /// `IPT_F_MASK`.
    pub const FLAGS_MASK: u8 = 0x03;
    /// `IPT_INV_MASK`.
    pub const INVERSE_MASK: u8 = 0x7f;
}

/// `struct xt_entry_match` and `struct xt_entry_target`, which are alike.
pub mod extension {
    /// Bytes of the extension, this structure included, 16 bits.
    pub const SIZE: usize = 0;
    /// Its name, with a zero behind.
    pub const NAME: usize = 2;
    /// Bytes of the name, `XT_EXTENSION_MAXNAMELEN`.
    pub const NAME_LEN: usize = 29;
    /// Which revision of the extension.
    pub const REVISION: usize = 31;
    /// Bytes of the structure; the extension's data follow.
    pub const LEN: usize = 32;
}

/// The standard target: a verdict, or the offset of the entry at which to go on.
pub mod standard {
    /// `XT_STANDARD_TARGET`.
    pub const NAME: &[u8] = b"";
    /// 32 bits with sign.
    pub const VERDICT: usize = 32;
    /// Bytes of `struct xt_standard_target`.
    pub const LEN: usize = 40;

    /// Drop the packet, `-NF_DROP - 1`.
    pub const DROP: i32 = -1;
    /// Let it pass, `-NF_ACCEPT - 1`.
    pub const ACCEPT: i32 = -2;
    /// Hand it to a process, `-NF_QUEUE - 1`.
    pub const QUEUE: i32 = -4;
    /// Go back to the calling chain, `XT_RETURN`.
    pub const RETURN: i32 = -5;
}

/// The error target: the head of a chain of the user's own, and the table's end.
pub mod error {
    /// `XT_ERROR_TARGET`.
    pub const NAME: &[u8] = b"ERROR";
    /// The chain's name, with a zero behind.
    pub const MESSAGE: usize = 32;
    /// Bytes of the chain's name, `XT_FUNCTION_MAXNAMELEN`.
    pub const MESSAGE_LEN: usize = 30;
    /// Bytes of `struct xt_error_target`.
    pub const LEN: usize = 64;
}

/// The bytes of a field; none where there are too few.
pub fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// A field of 16 bits.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

/// A field of 32 bits.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

/// A field of 64 bits.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes_at(bytes, at).map(u64::from_le_bytes)
}

/// The text of a field of characters, up to the zero behind it; none where there is no zero.
pub fn text(field: &[u8]) -> Option<&[u8]> {
    let end = field.iter().position(|byte| *byte == 0)?;
    field.get(..end)
}
