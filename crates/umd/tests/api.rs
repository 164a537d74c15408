// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the crate promises to its users, as a text: a change of it is a change of `api.txt`, which a reviewer sees.
//!
//! `UMD_API=write cargo test -p umd --test api` writes the text anew.

use quote::ToTokens;
use std::fmt::Write as _;
use std::path::Path;
use syn::{Attribute, Fields, ImplItem, Item, Visibility};

#[test]
fn the_interface_is_as_it_was() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(root.join("src")).expect("the sources") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a text");
            let file = syn::parse_file(&text).expect("Rust");
            file.items.iter().for_each(|item| note(item, &mut lines));
        }
    }
    lines.sort();
    let mut found = String::new();
    for line in lines {
        writeln!(found, "{line}").expect("a string has room");
    }
    let path = root.join("api.txt");
    if std::env::var_os("UMD_API").is_some_and(|value| value == "write") {
        std::fs::write(&path, &found).expect("api.txt is ours");
    }
    let known = std::fs::read_to_string(&path).expect("api.txt");
    for line in known.lines() {
        assert!(found.lines().any(|found| found == line), "gone: {line}");
    }
    for line in found.lines() {
        assert!(!line.contains("rustix"), "a library's type: {line}");
        assert!(known.lines().any(|known| known == line), "new: {line}");
    }
    assert!(known.lines().count() > 50);
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn text(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string()
}

/// The condition under which it is there, if there is one.
fn condition(attributes: &[Attribute]) -> String {
    let cfg = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"));
    cfg.map(|attribute| text(attribute) + " ").collect()
}

fn note(item: &Item, lines: &mut Vec<String>) {
    match item {
        Item::Use(item) if is_public(&item.vis) => lines.push(text(&item.tree)),
        Item::Struct(item) if is_public(&item.vis) => {
            let fields = match &item.fields {
                Fields::Named(fields) => fields.named.iter(),
                _ => return lines.push(format!("struct {}", item.ident)),
            };
            lines.push(format!("struct {}{}", item.ident, text(&item.generics)));
            for field in fields.filter(|field| is_public(&field.vis)) {
                let name = field.ident.as_ref().map(ToString::to_string);
                let name = name.unwrap_or_default();
                lines.push(format!(
                    "struct {}: {name}: {}",
                    item.ident,
                    text(&field.ty)
                ));
            }
        }
        Item::Enum(item) if is_public(&item.vis) => {
            for variant in &item.variants {
                let fields = variant.fields.iter().map(|field| text(&field.ty));
                let fields = fields.collect::<Vec<_>>().join(", ");
                lines.push(format!("enum {}: {} ({fields})", item.ident, variant.ident));
            }
        }
        Item::Impl(item) => {
            let who = text(&item.self_ty);
            if let Some((_, interface, _)) = &item.trait_ {
                if interface.segments.len() > 1 || text(interface).starts_with("From") {
                    lines.push(format!("impl {} for {who}", text(interface)));
                }
                return;
            }
            for member in &item.items {
                match member {
                    ImplItem::Fn(member) if is_public(&member.vis) => {
                        let condition = condition(&member.attrs);
                        lines.push(format!("{who}: {condition}{}", text(&member.sig)));
                    }
                    ImplItem::Const(member) if is_public(&member.vis) => {
                        lines.push(format!(
                            "{who}: const {}: {}",
                            member.ident,
                            text(&member.ty)
                        ));
                    }
                    _ => {}
                }
            }
        }
        Item::Macro(item) if item.attrs.iter().any(|a| a.path().is_ident("macro_export")) => {
            let name = item.ident.as_ref().map(ToString::to_string);
            lines.push(format!("macro {}", name.unwrap_or_default()));
        }
        _ => {}
    }
}
