// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the handler says of keys and signatures, written as `gpg --list-packets` writes it.

use super::judge;
use super::packets::ask;
use pgp_proto::{
    Component, Fingerprint, Key, Message, Object, Place, Request, Signature, Skipped, Subject,
};

pub fn fingerprint(hex: &str) -> Fingerprint {
    let byte = |n: usize| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap();
    Fingerprint::V4(std::array::from_fn(byte))
}

pub struct Hex<'b>(pub &'b [u8]);

impl std::fmt::UpperHex for Hex<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02X}"))
    }
}

/// A packet's lines of GnuPG's list: those that say something that the handler says as well.
pub fn blocks(list: &str) -> Vec<Vec<String>> {
    let mut blocks: Vec<Vec<String>> = Vec::new();
    for line in list.lines() {
        let line = line.trim_start().trim_end_matches(" new-ctb");
        let line = line.strip_prefix("critical ").unwrap_or(line);
        let line = line.strip_prefix("hashed ").unwrap_or(line);
        if line.starts_with("# off=") {
            blocks.push(vec![line.to_owned()]);
            continue;
        }
        let known = [
            ":",
            "version ",
            "digest algo ",
            "data: ",
            "mode ",
            "raw data",
            "pkey[",
        ];
        let is_subpacket = ["subpkt 33 ", "subpkt 32 ", "subpkt 25 "];
        if known
            .iter()
            .chain(&is_subpacket)
            .any(|start| line.starts_with(start))
        {
            // Behind the number of bits comes a curve's name.
            let line = line.find(" bits]").map_or(line, |end| &line[..end + 6]);
            let block = blocks.last_mut().expect("an offset first");
            block.push(line.to_owned());
        }
    }
    blocks.into_iter().map(in_order).collect()
}

/// Subpackets come in any order: they go to the end, in one.
fn in_order(block: Vec<String>) -> Vec<String> {
    let is_subpacket = |line: &String| line.starts_with("subpkt ");
    let (mut subpackets, mut block): (Vec<_>, Vec<_>) = block.into_iter().partition(is_subpacket);
    subpackets.sort();
    block.extend(subpackets);
    block
}

/// Those of their blocks that ours have not; all of ours are among theirs, in their order.
pub fn compare<'t>(ours: &[Vec<String>], theirs: &'t [Vec<String>]) -> Vec<&'t Vec<String>> {
    let mut ours = ours.iter().peekable();
    let mut left_out = Vec::new();
    for block in theirs {
        match ours.peek() {
            Some(our) if our[0] == block[0] => {
                assert_eq!(*our, block);
                ours.next();
            }
            _ => left_out.push(block),
        }
    }
    assert_eq!(ours.next(), None);
    left_out
}

pub fn list_key(input: &[u8], fingerprint: Fingerprint) -> (Vec<Vec<String>>, Skipped) {
    let reply = ask(&Request::Key(fingerprint), input).unwrap();
    let key = Key::decode(&reply, input.len()).unwrap();
    let lister = Lister::new(input);
    let mut blocks = vec![lister.key(":public key packet:", key.primary)];
    blocks.extend(key.direct.map(|it| lister.signature(it)));
    for Component {
        subject,
        signatures,
    } in key.components
    {
        blocks.push(match subject {
            Subject::UserId(body) => lister.user_id(body),
            Subject::Subkey(subkey) => lister.key(":public sub key packet:", subkey),
        });
        blocks.extend(signatures.map(|it| lister.signature(it)));
    }
    (blocks, key.skipped)
}

/// Writes as GnuPG does: what stands at the places that the handler told of.
pub struct Lister<'i> {
    input: &'i [u8],
    packets: Vec<(u8, Place)>,
}

impl<'i> Lister<'i> {
    pub fn new(input: &'i [u8]) -> Self {
        let packets = judge::packets(input);
        Self { input, packets }
    }

    fn of(&self, place: Place) -> &'i [u8] {
        place.of(self.input).unwrap()
    }

    fn number(&self, at: u32, count: u32) -> u32 {
        let bytes = self.of(Place { at, len: count });
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
    }

    /// `# off=0 ctb=98 tag=6 hlen=2 plen=51`
    fn head(&self, body: Place) -> String {
        let number = self
            .packets
            .iter()
            .position(|(_, packet)| *packet == body)
            .unwrap();
        let tag = self.packets[number].0;
        let off = match number {
            0 => 0,
            _ => self.packets[number - 1].1.end(),
        };
        let (ctb, hlen) = (self.number(off, 1), body.at - off);
        format!(
            "# off={off} ctb={ctb:02x} tag={tag} hlen={hlen} plen={}",
            body.len
        )
    }

    fn key(&self, title: &str, key: Object) -> Vec<String> {
        let at = key.body.at;
        let (version, algorithm) = (self.number(at, 1), self.number(at + 5, 1));
        let created = self.number(at + 1, 4);
        let mut lines = vec![
            self.head(key.body),
            title.to_owned(),
            format!("version {version}, algo {algorithm}, created {created}, expires 0"),
        ];
        for (number, part) in key.parts.iter().enumerate() {
            let is_counted = matches!((algorithm, number), (18, 0 | 2) | (19 | 22, 0));
            let bits = match is_counted {
                true => 8 * part.len,
                false => self.number(part.at, 2),
            };
            lines.push(format!("pkey[{number}]: [{bits} bits]"));
        }
        lines
    }

    fn user_id(&self, body: Place) -> Vec<String> {
        let mut text = String::new();
        for byte in self.of(body) {
            match byte {
                0x20..0x7f => text.push(char::from(*byte)),
                _ => text += &format!("\\x{byte:02x}"),
            }
        }
        vec![self.head(body), format!(":user ID packet: \"{text}\"")]
    }

    pub fn signature(&self, it: Signature) -> Vec<String> {
        let Object { body, parts } = it.object;
        let [version, kind, algorithm, hash] = [0, 1, 2, 3].map(|n| self.number(body.at + n, 1));
        let issuer = it.issuer.map_or(&[0; 8][..], |issuer| self.of(issuer));
        let key_id = Hex(issuer.last_chunk::<8>().unwrap());
        let begin = self.of(Place {
            at: parts.at - 2,
            len: 2,
        });
        let created = it.created;
        let mut lines = vec![
            self.head(body),
            format!(":signature packet: algo {algorithm}, keyid {key_id:X}"),
            format!("version {version}, created {created}, md5len 0, sigclass 0x{kind:02x}"),
            format!(
                "digest algo {hash}, begin of digest {:02x} {:02x}",
                begin[0], begin[1]
            ),
        ];
        if issuer.len() == 20 {
            lines.push(format!(
                "subpkt 33 len 21 (issuer fpr v4 {:X})",
                Hex(issuer)
            ));
        }
        if it.is_primary {
            lines.push("subpkt 25 len 1 (primary user ID)".to_owned());
        }
        if let Some(back) = it.back {
            let [version, kind, algorithm, hash] =
                [0, 1, 2, 3].map(|n| self.number(back.body.at + n, 1));
            let what =
                format!("v{version}, class 0x{kind:02x}, algo {algorithm}, digest algo {hash}");
            lines.push(format!(
                "subpkt 32 len {} (signature: {what})",
                back.body.len
            ));
        }
        for part in parts.iter() {
            lines.push(format!("data: [{} bits]", self.number(part.at, 2)));
        }
        in_order(lines)
    }

    pub fn literal(&self, message: &Message<'_>) -> Vec<String> {
        let data = message.literal.data;
        let packet = self.packets.iter().find(|(tag, _)| *tag == 11).unwrap().1;
        assert_eq!(packet.end(), data.end());
        let created = self.number(data.at - 4, 4);
        let name = self.number(packet.at + 1, 1);
        let name = self.of(Place {
            at: packet.at + 2,
            len: name,
        });
        let name = String::from_utf8(name.to_vec()).unwrap();
        let format = message.literal.format;
        vec![
            self.head(packet),
            ":literal data packet:".to_owned(),
            format!(
                "mode {} ({format:x}), created {created}, name=\"{name}\",",
                char::from(format)
            ),
            format!("raw data: {} bytes", data.len),
        ]
    }
}
