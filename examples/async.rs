// SPDX-License-Identifier: MIT OR Apache-2.0
//! A hundred calls on one thread: `cargo run --release --example async`.

use sample_proto::Request;
use std::error::Error;
use std::sync::Arc;
use umd::Driver;
use umd_examples::SAMPLE;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let driver = Driver::builder("sample", SAMPLE).workers(4).build()?;
    let driver = Arc::new(driver);
    let mut sum = 0_u64;
    // The queue holds 64: more at a time would be told that it is busy.
    for batch in 0..2_u32 {
        let calls: Vec<_> = (0..50)
            .map(|number| {
                let driver = driver.clone();
                tokio::spawn(async move {
                    let request = Request::new(batch * 50 + number).expect("in range");
                    driver.call_async(&request).await
                })
            })
            .collect();
        for call in calls {
            sum += u64::from(call.await??);
        }
    }
    println!("the sum of 0 to 99, as 100 answers of 128 KiB each have it: {sum}");
    Ok(())
}
