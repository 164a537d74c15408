// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the suite shows the PGP driver: keys, signatures and messages made by GnuPG, packages by rpm, certificates by OpenSSL.
//!
//! They lie in `target/umd/pgp`, and are made once for each version of this file. The machines' clock begins with the year 2026, so all
//! is made before that.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use pgp_rules::crypto::Digest;
use pgp_rules::{Crypto, Hash, HashAlgorithm, Material, Refusal, Signature, SignatureValue, der};

use crate::setup::Setup;
use crate::{paths, progress, run};

/// What makes them, and what adds them inside the machine.
const PACKAGES: &[&str] = &["gnupg", "keyutils", "openssl", "rpm"];

/// When all is made, and when something is made of it again.
const TIME: &str = "20250101T000000!";
const LATER: &str = "20250301T000000!";

/// What is signed: lines that end in both ways.
const DATA: &[u8] = b"Signed by somebody.\nWith two lines,\r\nand no end";

/// Keys: file, the name in their user ids, kind, and what for.
const KEYS: &[(&str, &str, &str)] = &[
    ("rsa1024", "rsa1024", "sign"),
    ("rsa2048", "rsa2048", "sign"),
    ("rsa3072", "rsa3072", "sign"),
    ("rsa4096", "rsa4096", "sign"),
    ("rsa2560", "rsa2560", "sign"),
    ("p256", "nistp256", "sign"),
    ("p384", "nistp384", "sign"),
    ("p521", "nistp521", "sign"),
    ("ed25519", "ed25519", "sign"),
    ("dsa2048", "dsa2048", "sign"),
    ("revoked", "rsa2048", "sign"),
    ("usage", "rsa2048", "sign"),
    ("subkey", "rsa2048", "cert"),
    ("mixed", "rsa2048", "sign"),
    ("ripemd", "rsa2048", "sign"),
    ("renamed", "rsa2048", "sign"),
    ("shortened", "rsa2048", "sign"),
];

/// Keys whose signatures keyctl is to verify by itself, and their sizes.
const SPLIT: &[(&str, usize)] = &[
    ("rsa2048", 2048),
    ("rsa4096", 4096),
    ("p256", 256),
    ("expired", 2048),
    ("revoked", 2048),
    ("usage", 2048),
];

/// The directory with all of them.
pub(crate) fn make(setup: Setup) -> Result<PathBuf> {
    setup.packages(PACKAGES)?;
    let out = paths::umd().join("pgp");
    let stamp = out.join("made");
    let mut hasher = DefaultHasher::new();
    include_str!("pgpfiles.rs").hash(&mut hasher);
    let key = format!("{:016x}", hasher.finish());
    if fs::read_to_string(&stamp).is_ok_and(|old| old == key) {
        return Ok(out);
    }
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    paths::create_dir(&out)?;
    progress::step("making PGP keys", Duration::from_secs(60), || {
        // Not below target/: the agent's socket wants a short path.
        let home = std::env::temp_dir().join(format!("umd-gnupg-{}", std::process::id()));
        // One that was killed may have left its own, and have had the same number.
        if home.exists() {
            fs::remove_dir_all(&home)?;
        }
        let result = Maker::new(&home, &out).and_then(|maker| {
            let made = maker.all();
            maker.end_agent();
            made
        });
        fs::remove_dir_all(&home)?;
        result
    })?;
    fs::write(&stamp, key)?;
    Ok(out)
}

/// GnuPG with a home of its own.
struct Maker<'p> {
    home: &'p Path,
    out: &'p Path,
}

impl<'p> Maker<'p> {
    fn new(home: &'p Path, out: &'p Path) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().mode(0o700).create(home)?;
        fs::write(out.join("data"), DATA)?;
        Ok(Self { home, out })
    }

    fn all(&self) -> Result<()> {
        for (name, kind, usage) in KEYS {
            self.generate(name, kind, usage, "never")?;
        }
        self.generate("expired", "rsa2048", "sign", "1d")?;
        self.named(
            "shown",
            "J\u{f6}rg \u{9b}31m \u{202e}x\u{2066} <shown@example.org>",
        )?;
        self.add_subkey("subkey", "rsa3072", "sign", "never")?;
        self.add_subkey("subkey", "rsa1024", "encr", "never")?;
        self.add_subkey("mixed", "ed25519", "sign", "never")?;
        self.add_subkey("mixed", "ed25519", "sign", "1d")?;
        for (name, ..) in KEYS {
            self.sign(name)?;
        }
        self.sign("expired")?;
        self.sign_by_each("mixed")?;
        self.revoke("revoked")?;
        self.revoke_over("ripemd", "RIPEMD160")?;
        for name in ["usage", "shortened"] {
            self.export(name, &[], &format!("{name}.before.pgp"))?;
        }
        self.take_usage("usage")?;
        self.shorten("shortened")?;
        self.rename("renamed")?;
        for name in KEYS.iter().map(|(name, ..)| *name).chain(["expired"]) {
            self.export(name, &[], &format!("{name}.pgp"))?;
            let fingerprints = self.fingerprints(name)?.join("\n");
            fs::write(self.out.join(format!("{name}.fpr")), fingerprints)?;
        }
        self.export("rsa2048", &["--armor"], "rsa2048.asc")?;
        // What was said before it was taken back, too.
        let all = "--export-options=no-export-minimal";
        self.export("renamed", &[all], "renamed.pgp")?;
        self.short()?;
        for (name, bits) in SPLIT {
            self.split(name, *bits)?;
        }
        self.message(&["--textmode", "--detach-sign"], "rsa2048.text.sig")?;
        let sha1 = ["--allow-weak-digest-algos", "--digest-algo=SHA1"];
        let sha1 = [&sha1[..], &["--detach-sign"]].concat();
        self.message(&sha1, "rsa2048.sha1.sig")?;
        self.message(&["--compress-algo=none", "--sign"], "rsa2048.message")?;
        self.message(&["--compress-algo=zip", "--sign"], "rsa2048.zip")?;
        for bits in [2048, 4096] {
            self.certificate(bits)?;
        }
        self.certificate_by("rsa2048")?;
        self.packages()?;
        self.old_package("old", &[])?;
        self.old_package("text", &["--textmode"])
    }

    fn gpg(&self, arguments: &[&str]) -> Command {
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--quiet", "--no-tty", "--yes"])
            .args(["--pinentry-mode=loopback", "--passphrase="])
            .args(["--faked-system-time", TIME, "--homedir"])
            .arg(self.home)
            .args(arguments)
            .env("LC_ALL", "C");
        gpg
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        run::stdout(&mut self.gpg(arguments))
    }

    fn path(&self, file: &str) -> String {
        self.out.join(file).to_string_lossy().into_owned()
    }

    fn end_agent(&self) {
        let mut end = Command::new("gpgconf");
        // It ends by itself when its home is gone.
        let _ = run::output(end.args(["--kill", "all", "--homedir"]).arg(self.home));
    }

    /// With this user id.
    fn named(&self, name: &str, user_id: &str) -> Result<()> {
        let make = ["--utf8-strings", "--quick-generate-key", user_id];
        self.run(&[&make[..], &["rsa2048", "sign", "never"]].concat())?;
        self.export(name, &[], &format!("{name}.pgp"))?;
        let fingerprints = self.fingerprints(name)?.join("\n");
        Ok(fs::write(
            self.out.join(format!("{name}.fpr")),
            fingerprints,
        )?)
    }

    fn generate(&self, name: &str, kind: &str, usage: &str, expires: &str) -> Result<()> {
        let user_id = format!("{name} <{name}@example.org>");
        self.run(&["--quick-generate-key", &user_id, kind, usage, expires])
            .map(drop)
    }

    /// Of the primary key and its subkeys.
    fn fingerprints(&self, name: &str) -> Result<Vec<String>> {
        let listed = self.run(&["--with-colons", "--list-keys", &mail(name)])?;
        let lines = listed.lines().filter(|line| line.starts_with("fpr:"));
        let words = lines.filter_map(|line| line.split(':').nth(9));
        Ok(words.map(str::to_owned).collect())
    }

    fn fingerprint(&self, name: &str) -> Result<String> {
        let first = self.fingerprints(name)?.into_iter().next();
        first.context("gpg lists no fingerprint")
    }

    fn add_subkey(&self, name: &str, kind: &str, usage: &str, expires: &str) -> Result<()> {
        let fingerprint = self.fingerprint(name)?;
        self.run(&["--quick-add-key", &fingerprint, kind, usage, expires])
            .map(drop)
    }

    fn export(&self, name: &str, options: &[&str], file: &str) -> Result<()> {
        let (output, mail) = (self.path(file), mail(name));
        let common = ["--export-options=export-minimal", "--output", &output];
        self.run(&[&common, options, &["--export", &mail]].concat())
            .map(drop)
    }

    /// With the newest key that signs, as gpg does.
    fn sign(&self, name: &str) -> Result<()> {
        // ECDSA wants a hash that is as long as the curve's numbers.
        let hash = match name {
            "p384" => "--digest-algo=SHA384",
            "p521" => "--digest-algo=SHA512",
            _ => "--digest-algo=SHA256",
        };
        self.sign_by(&mail(name), hash, &format!("{name}.sig"))
    }

    /// With the primary key, which is number 0, and with each subkey.
    fn sign_by_each(&self, name: &str) -> Result<()> {
        for (number, fingerprint) in self.fingerprints(name)?.iter().enumerate() {
            let file = format!("{name}.{number}.sig");
            self.sign_by(&format!("{fingerprint}!"), "--digest-algo=SHA256", &file)?;
        }
        Ok(())
    }

    fn sign_by(&self, user: &str, hash: &str, file: &str) -> Result<()> {
        let (output, data) = (self.path(file), self.path("data"));
        let common = [hash, "--output", &output];
        let what = ["--local-user", user, "--detach-sign", &data];
        self.run(&[&common[..], &what].concat()).map(drop)
    }

    /// One signature in 256 begins with a zero byte, which its packet leaves out. Of so many none does once in 10^8 times.
    fn short(&self) -> Result<()> {
        let (data, output) = (self.path("short"), self.path("short.sig"));
        for number in 0..5000 {
            fs::write(&data, number.to_string())?;
            let common = ["--digest-algo=SHA256", "--output", &output];
            let what = ["--local-user", &mail("rsa1024"), "--detach-sign", &data];
            self.run(&[&common[..], &what].concat())?;
            let packet = fs::read(&output)?;
            // By its number, and not by the length of another, which may be as short.
            if let SignatureValue::Rsa { s } = signature("short", &packet)?.value()
                && s.len() < 1024 / 8
            {
                return Ok(());
            }
        }
        bail!("of 5000 signatures none is short")
    }

    fn message(&self, how: &[&str], file: &str) -> Result<()> {
        let (output, data) = (self.path(file), self.path("data"));
        let common = ["--digest-algo=SHA512", "--output", &output];
        let who = ["--local-user", &mail("rsa2048")];
        self.run(&[&common[..], &who, how, &[&data]].concat())
            .map(drop)
    }

    /// With the certificate that gpg made for that when it made the key.
    fn revoke(&self, name: &str) -> Result<()> {
        let file = format!("openpgp-revocs.d/{}.rev", self.fingerprint(name)?);
        let text = fs::read_to_string(self.home.join(file))?;
        let certificate = self.home.join("revocation");
        fs::write(&certificate, text.replace(":-----BEGIN", "-----BEGIN"))?;
        self.run(&["--import", &certificate.to_string_lossy()])
            .map(drop)
    }

    /// With a certificate over a hash that the kernel's host does not take.
    fn revoke_over(&self, name: &str, hash: &str) -> Result<()> {
        let certificate = self.home.join("certificate");
        let cert_hash = format!("--cert-digest-algo={hash}");
        let output = certificate.to_string_lossy();
        let mut gpg = self.gpg(&["--no-batch", &cert_hash, "--output", &output]);
        gpg.args(["--command-fd=0", "--gen-revoke", &self.fingerprint(name)?]);
        self.edit(&mut gpg, b"y\n0\n\ny\n")?;
        self.run(&["--import", &output]).map(drop)
    }

    /// Has gpg asks for what to do.
    fn edit(&self, gpg: &mut Command, answers: &[u8]) -> Result<()> {
        let child = gpg.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = child.stderr(Stdio::null()).spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(answers)?;
        drop(stdin);
        ensure!(child.wait()?.success(), "gpg did not do {answers:?}");
        Ok(())
    }

    /// It signed, and may not any more.
    fn take_usage(&self, name: &str) -> Result<()> {
        let fingerprint = self.fingerprint(name)?;
        let mut gpg = self.gpg(&["--no-batch", "--faked-system-time", LATER]);
        gpg.args(["--command-fd=0", "--edit-key", &fingerprint]);
        self.edit(&mut gpg, b"change-usage\ns\nq\nsave\n")
    }

    /// It was good for ever, and is so no more.
    fn shorten(&self, name: &str) -> Result<()> {
        let fingerprint = self.fingerprint(name)?;
        let time = ["--faked-system-time", LATER];
        self.run(&[&time[..], &["--quick-set-expire", &fingerprint, "1d"]].concat())
            .map(drop)
    }

    /// Another user id instead of its only one; what vouches for that has somebody's name in a notation.
    fn rename(&self, name: &str) -> Result<()> {
        let fingerprint = self.fingerprint(name)?;
        let old = format!("{name} <{}>", mail(name));
        let new = format!("new <{}>", mail(name));
        let time = ["--faked-system-time", LATER];
        let notation = [
            "--cert-notation",
            "note@example.org=root <root@example.org>",
        ];
        let add = ["--quick-add-uid", &fingerprint, &new];
        self.run(&[&time[..], &notation, &add].concat())?;
        self.run(&[&time[..], &["--quick-revoke-uid", &fingerprint, &old]].concat())
            .map(drop)
    }

    /// For `keyctl pkey_verify`: the digest, and the signature in the kernel's form.
    fn split(&self, name: &str, bits: usize) -> Result<()> {
        let packet = fs::read(self.out.join(format!("{name}.sig")))?;
        let failed = |refusal: Refusal| anyhow::anyhow!("{name}.sig: {}", refusal.sentence());
        let signature = signature(name, &packet)?;
        let mut hashing = signature.hashing(&OpenSsl).map_err(failed)?;
        hashing.update(DATA).map_err(failed)?;
        let hashed = hashing.finish().map_err(failed)?;
        let raw = match *signature.value() {
            SignatureValue::Rsa { s } => [&vec![0; bits / 8 - s.len()], s].concat(),
            SignatureValue::Pair { r, s } => {
                let mut room = vec![0; der::PAIR_MAX];
                der::pair(r, s, &mut room).map_err(failed)?.to_vec()
            }
            _ => bail!("{name}.sig is of another kind"),
        };
        fs::write(
            self.out.join(format!("{name}.digest")),
            hashed.digest().as_bytes(),
        )?;
        fs::write(self.out.join(format!("{name}.raw")), raw)?;
        Ok(())
    }

    fn certificate(&self, bits: u32) -> Result<()> {
        let file = self.path(&format!("x509-{bits}.der"));
        let mut openssl = Command::new("openssl");
        openssl
            .args(["req", "-x509", "-nodes", "-keyout", "/dev/null"])
            .args(["-newkey", &format!("rsa:{bits}"), "-sha256"])
            .args(["-subj", "/CN=umd", "-outform", "DER", "-out", &file]);
        run::stdout(&mut openssl).map(drop)
    }

    /// One whose header says nothing of the payload, as rpm wrote them once.
    fn old_package(&self, name: &str, how: &[&str]) -> Result<()> {
        const RSA: u32 = 268;
        const NAME: u32 = 1000;
        let (main, signature) = (self.home.join("main"), self.home.join("main.sig"));
        let header_of = header(NAME, 6, 1, b"old\0.");
        fs::write(&main, &header_of)?;
        let output = signature.to_string_lossy();
        let common = ["--local-user", &mail("rsa4096"), "--output", &output];
        let what = ["--detach-sign", &main.to_string_lossy()];
        self.run(&[&common[..], how, &what].concat())?;
        let signature = fs::read(&signature)?;
        let mut package = vec![0; 96];
        package[..4].copy_from_slice(&[0xed, 0xab, 0xee, 0xdb]);
        package.extend(header(RSA, 7, signature.len(), &signature));
        package.resize(package.len().next_multiple_of(8), 0);
        package.extend(header_of);
        package.extend(b"payload");
        Ok(fs::write(self.out.join(format!("{name}.rpm")), package)?)
    }

    /// One that says that this key has signed it. It has not.
    fn certificate_by(&self, name: &str) -> Result<()> {
        let (key, root) = (self.home.join("root.key"), self.home.join("root.pem"));
        let (request, of) = (self.home.join("leaf.csr"), self.home.join("extensions"));
        let fingerprint = self.fingerprint(name)?;
        let pairs: Vec<&str> = (0..fingerprint.len() / 2)
            .filter_map(|pair| fingerprint.get(2 * pair..2 * pair + 2))
            .collect();
        let id = format!("subjectKeyIdentifier={}", pairs.join(":"));
        fs::write(&of, "authorityKeyIdentifier=keyid\n")?;
        let openssl = || Command::new("openssl");
        let rsa = ["-nodes", "-newkey", "rsa:2048", "-sha256"];
        let mut make = openssl();
        make.args(["req", "-x509", "-subj", "/CN=root", "-addext", &id])
            .args(rsa)
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&root);
        run::stdout(&mut make)?;
        let mut ask = openssl();
        ask.args(["req", "-subj", "/CN=leaf", "-keyout", "/dev/null"])
            .args(rsa)
            .arg("-out")
            .arg(&request);
        run::stdout(&mut ask)?;
        let mut sign = openssl();
        sign.args(["x509", "-req", "-sha256", "-set_serial", "1", "-CA"])
            .arg(&root)
            .arg("-CAkey")
            .arg(&key)
            .arg("-extfile")
            .arg(&of)
            .arg("-in")
            .arg(&request)
            .args(["-outform", "DER", "-out", &self.path("x509-by-key.der")]);
        run::stdout(&mut sign).map(drop)
    }

    /// One that is not signed, one by an RSA key, one by Ed25519: this rpm knows no other.
    fn packages(&self) -> Result<()> {
        let build = self.home.join("rpm");
        let spec = self.home.join("umd.spec");
        fs::write(&spec, SPEC)?;
        let mut rpmbuild = Command::new("rpmbuild");
        rpmbuild
            .args(["-bb", "--quiet", "--define"])
            .arg(format!("_topdir {}", build.display()))
            .arg(&spec)
            .env("HOME", self.home)
            .env("SOURCE_DATE_EPOCH", "1735689600");
        run::stdout(&mut rpmbuild)?;
        let built = build.join("RPMS/noarch/umd-1-1.noarch.rpm");
        fs::copy(&built, self.out.join("unsigned.rpm"))?;
        for name in ["rsa4096", "ed25519"] {
            let file = self.out.join(format!("{name}.rpm"));
            fs::copy(&built, &file)?;
            let extra = format!(
                "--batch --pinentry-mode loopback --passphrase '' --faked-system-time {TIME}"
            );
            let mut rpmsign = Command::new("rpmsign");
            for (macro_name, value) in [
                ("__gpg", "/usr/bin/gpg".to_owned()),
                ("_gpg_name", mail(name)),
                ("_gpg_path", self.home.to_string_lossy().into_owned()),
                ("_gpg_sign_cmd_extra_args", extra),
            ] {
                rpmsign.args(["--define", &format!("{macro_name} {value}")]);
            }
            run::stdout(rpmsign.arg("--addsign").arg(&file).env("HOME", self.home))?;
        }
        Ok(())
    }
}

/// A signature that gpg wrote.
fn signature<'p>(name: &str, packet: &'p [u8]) -> Result<Signature<'p>> {
    let body = match packet {
        [0x88, _, body @ ..] | [0x89, _, _, body @ ..] => body,
        _ => bail!("gpg wrote an odd signature of {name}"),
    };
    Signature::read(body).map_err(|refusal| anyhow::anyhow!("{name}.sig: {}", refusal.sentence()))
}

/// A package's header with one entry.
fn header(tag: u32, kind: u32, count: usize, value: &[u8]) -> Vec<u8> {
    let length = value.len() as u32;
    let numbers = [1, length, tag, kind, 0, count as u32].map(u32::to_be_bytes);
    [
        &[0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0],
        &numbers.concat()[..],
        value,
    ]
    .concat()
}

fn mail(name: &str) -> String {
    format!("{name}@example.org")
}

const SPEC: &str = "\
Name: umd
Version: 1
Release: 1
Summary: A package
License: MIT
BuildArch: noarch
%description
With a file.
%install
mkdir -p %{buildroot}/usr/share
echo content >%{buildroot}/usr/share/umd
%files
/usr/share/umd
";

/// Hashes, and no more.
struct OpenSsl;

struct Fed(HashAlgorithm, Vec<u8>);

impl Hash for Fed {
    fn update(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.1.extend(bytes);
        Ok(())
    }

    fn finish(self) -> Result<Digest, Refusal> {
        let hash = || -> Result<Vec<u8>> {
            let mut child = Command::new("openssl")
                .args(["dgst", "-binary", &format!("-{}", self.0.name())])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let mut stdin = child.stdin.take().context("no standard input")?;
            stdin.write_all(&self.1)?;
            drop(stdin);
            Ok(child.wait_with_output()?.stdout)
        };
        Digest::new(&hash().map_err(|_| Refusal::HashFailed)?)
    }
}

impl Crypto for OpenSsl {
    type Hash = Fed;

    fn hash(&self, algorithm: HashAlgorithm) -> Result<Fed, Refusal> {
        Ok(Fed(algorithm, Vec::new()))
    }

    fn verify(
        &self,
        _: &Material<'_>,
        _: HashAlgorithm,
        _: &[u8],
        _: &SignatureValue<'_>,
    ) -> Result<(), Refusal> {
        Err(Refusal::KeyUnsupported)
    }
}
