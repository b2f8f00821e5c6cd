//! What would recognise speech: read to the last name, so that a slip is told as what it is. Nothing is recognised here.

use super::read::{Object, Read};

/// The names of the protocol.
const KNOWN: &[&str] = &[
    "language",
    "label",
    "fallbackLanguage",
    "fallbackLabel",
    "hints",
    "hintsBoost",
    "altLanguages",
    "model",
    "interim",
    "punctuation",
    "profanityFilter",
    "profanityOption",
    "singleUtterance",
    "dualChannel",
    "separateRecognitionPerChannel",
    "enhancedModel",
    "words",
    "diarization",
    "diarizationMinSpeakers",
    "diarizationMaxSpeakers",
    "interactionType",
    "naicsCode",
    "identifyChannels",
    "vocabularyName",
    "vocabularyFilterName",
    "filterMethod",
    "outputFormat",
    "requestSnr",
    "initialSpeechTimeoutMs",
    "azureServiceEndpoint",
    "azureSttEndpointId",
    "asrDtmfTerminationDigit",
    "asrTimeout",
    "fastRecognitionTimeout",
    "minConfidence",
    "autogeneratePrompt",
    "googleOptions",
    "awsOptions",
    "azureOptions",
    "nuanceOptions",
    "deepgramOptions",
    "ibmOptions",
    "nvidiaOptions",
    "sonioxOptions",
    "cobaltOptions",
    "assemblyAiOptions",
    "customOptions",
    "verbioOptions",
    "speechmaticsOptions",
    "openaiOptions",
    "houndifyOptions",
    "gladiaOptions",
    "elevenlabsOptions",
];

const OF_VAD: &[&str] = &[
    "enable",
    "voiceMs",
    "silenceMs",
    "strategy",
    "mode",
    "vendor",
    "threshold",
    "speechPadMs",
];

/// Reads the names of a `recognizer`; whether there is one.
pub(super) fn read_recognizer(object: &mut Object) -> Read<bool> {
    let Some(mut recognizer) = object.object("recognizer")? else {
        return Ok(false);
    };
    let vendors = ["vendor", "fallbackVendor"].map(|name| recognizer.take(name));
    for name in KNOWN {
        recognizer.ignore(name);
    }
    // A vendor's own options are the vendor's to check, also of one that is not known here.
    recognizer.ignore_all(|name| {
        let of = name.strip_suffix("Options");
        of.is_some_and(|of| vendors.iter().flatten().any(|vendor| vendor == of))
    });
    if let Some(mut vad) = recognizer.object("vad")? {
        for name in OF_VAD {
            vad.ignore(name);
        }
        vad.finish()?;
    }
    recognizer.finish()?;
    Ok(true)
}
