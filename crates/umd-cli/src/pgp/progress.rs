// SPDX-License-Identifier: MIT OR Apache-2.0
//! Progress of long files, with the time left.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What takes no longer is not worth showing.
const PATIENCE: Duration = Duration::from_secs(2);

/// How far something is that is done byte by byte: shown on the standard error where that is a terminal, and only if it takes some time.
pub(super) struct Progress {
    bar: ProgressBar,
    shown_at: Instant,
    /// Where it will be shown, until it is.
    target: Option<ProgressDrawTarget>,
}

impl Progress {
    pub(super) fn new(name: &str, length: Option<u64>) -> Self {
        Self::shown(name, length, PATIENCE, ProgressDrawTarget::stderr())
    }

    fn shown(
        name: &str,
        length: Option<u64>,
        patience: Duration,
        target: ProgressDrawTarget,
    ) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        let template = match length {
            Some(_) => "{prefix} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{prefix} {spinner} {bytes}, {bytes_per_sec}, {elapsed} gone",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        Self {
            bar,
            shown_at: Instant::now() + patience,
            target: Some(target),
        }
    }

    /// So many bytes are done.
    pub(super) fn at(&mut self, bytes: u64) {
        if let Some(target) = self.target.take_if(|_| Instant::now() >= self.shown_at) {
            self.bar.set_draw_target(target);
        }
        self.bar.set_position(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A reader that says how far it is.
pub(super) struct Watched<R> {
    reader: R,
    read: u64,
    progress: Progress,
}

impl<R: Read> Watched<R> {
    pub(super) fn new(reader: R, progress: Progress) -> Self {
        Self {
            reader,
            read: 0,
            progress,
        }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(room)?;
        self.read = self.read.saturating_add(length as u64);
        self.progress.at(self.read);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;
    use std::sync::{Arc, Mutex};

    /// What was written to a terminal.
    #[derive(Clone, Debug, Default)]
    struct Terminal(Arc<Mutex<String>>);

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            120
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.write_str("<cleared>")
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(length: Option<u64>, patience: Duration) -> String {
        let terminal = Terminal::default();
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let data = vec![7; 4096];
        let progress = Progress::shown("big.iso", length, patience, target);
        let mut watched = Watched::new(&data[..], progress);
        let mut read = Vec::new();
        watched.read_to_end(&mut read).unwrap();
        drop(watched);
        assert_eq!(read, data);
        let text = terminal.0.lock().unwrap();
        text.clone()
    }

    #[test]
    fn what_takes_long_is_shown_and_goes_away() {
        let text = shown(Some(8192), Duration::ZERO);
        for words in ["big.iso", "/8.00 KiB", "left"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(text.ends_with("<cleared>"), "{text}");
        let text = shown(None, Duration::ZERO);
        assert!(text.contains("gone") && !text.contains("left"), "{text}");
    }

    #[test]
    fn what_does_not_is_not() {
        assert_eq!(shown(Some(4096), Duration::from_secs(3600)), "");
    }
}
