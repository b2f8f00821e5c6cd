#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // Its decoder may panic, which is caught: a panic that nobody catches still ends the run.
        std::panic::set_hook(Box::new(|_| ()));
    },
    |bytes: &[u8]| portcullis_fuzz::sound(bytes)
);
