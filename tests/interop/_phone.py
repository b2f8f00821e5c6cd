#!/usr/bin/env python3
"""A PJSIP phone in a process of its own: JSON commands on standard input, JSON events on standard output.

Argument: JSON with `ip`, `port`, `id` and, for a peer like Teams, `tls` (certificate, key, ca), `contact`, `nameserver`
(`verify_server` false: it connects to whatever certificate is shown). `proxy` is what its calls go through.
`ice` gives it candidates; as `update` it tells afterwards which it has chosen. `registrar` makes it register there; `transport` is
`tcp` or, with `ca`, `tls` as a client without a certificate.
`rules` says what incoming calls get by the number dialled; calls to other numbers ring until a command answers them."""

import faulthandler
import itertools
import json
import os
import queue
import random
import re
import sys
import threading
import time

import pjsua2 as pj

# Where a crash of the library was goes to the phone's log.
faulthandler.enable()
SETTINGS = json.loads(sys.argv[1])
CALLS = {}
COUNT = itertools.count(1)


def tell(event, **fields):
    print(json.dumps({"event": event, "at": round(time.monotonic(), 3), **fields}), flush=True)


class Call(pj.Call):
    def __init__(self, account, name, call_id=pj.PJSUA_INVALID_ID):
        super().__init__(account, call_id)
        self.name, self.player, self.recorder, self.audio, self.due = name, None, None, None, []
        self.play, self.filler = SETTINGS.get("play"), None

    def onCallState(self, prm):
        info = self.getInfo()
        event = prm.e.body.tsxState
        heard = prm.e.type == pj.PJSIP_EVENT_TSX_STATE and event.type == pj.PJSIP_EVENT_RX_MSG
        text = event.src.rdata.wholeMsg if heard else ""
        tell("state", call=self.name, state=info.stateText, code=info.lastStatusCode, reason=info.lastReason, text=text)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.due = []
            CALLS.pop(self.name, None)
            GONE.append(self)

    def onCallTsxState(self, prm):
        body = prm.e.body.tsxState
        if body.type == pj.PJSIP_EVENT_RX_MSG:
            text = body.src.rdata.wholeMsg
            tell("message", call=self.name, line=text.split("\r\n", 1)[0], text=text)
        elif body.type == pj.PJSIP_EVENT_TX_MSG:
            text = body.src.tdata.wholeMsg
            tell("said", call=self.name, line=text.split("\r\n", 1)[0], text=text)

    def onCallMediaState(self, prm):
        info = self.getInfo()
        medias = info.media
        for number, media in enumerate(medias):
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            fields = {"status": media.status, "direction": media.dir}
            active = media.status in (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
            if active:
                stream = self.getStreamInfo(number)
                fields |= {
                    "codec": stream.codecName,
                    "srtp": bool(int(stream.proto) & pj.PJMEDIA_TP_PROFILE_SRTP),
                    "remote": stream.remoteRtpAddress,
                }
                self.audio = self.getAudioMedia(number)
                if self.play:
                    if not self.player:
                        self.player = pj.AudioMediaPlayer()
                        self.player.createPlayer(self.play)
                    self.player.startTransmit(self.audio)
                if self.recorder:
                    self.audio.startTransmit(self.recorder)
            tell("media", call=self.name, **fields)

    def onCallTransferStatus(self, prm):
        tell("notified", call=self.name, code=prm.statusCode, final=prm.finalNotify)

    def onDtmfDigit(self, prm):
        tell("dtmf", call=self.name, digit=prm.digit)

    def stats(self):
        try:
            stream = self.getStreamStat(0)
        except pj.Error:
            return {"received": 0, "bytes": 0, "lost": 0, "sent": 0, "reports": 0, "source": ""}
        rtcp = stream.rtcp
        received, sent = rtcp.rxStat, rtcp.txStat
        transport = self.getMedTransportInfo(0)
        return {
            "received": received.pkt,
            "bytes": received.bytes,
            "lost": received.loss,
            "sent": sent.pkt,
            # What the other side reported over RTCP.
            "reports": sent.updateCount,
            "source": transport.srcRtpName,
        }


class Account(pj.Account):
    def onRegState(self, prm):
        tell("registered", code=prm.code, expires=prm.expiration)

    def onIncomingCall(self, prm):
        text = prm.rdata.wholeMsg
        user = re.match(r"INVITE sips?:([^@;>]+)", text)
        user = user.group(1) if user else ""
        name = f"in{next(COUNT)}-{user}"
        call = Call(self, name, prm.callId)
        CALLS[name] = call
        tell("incoming", call=name, user=user, text=text)
        rule = next((r for r in SETTINGS.get("rules", []) if user.startswith(r["user"])), None)
        for after, code in (rule or {}).get("answers", []):
            # Two figures are a span: any moment of it.
            after = random.uniform(*after) if isinstance(after, list) else after
            call.due.append((time.monotonic() + after, code))


GONE = []
# Never let go of: the library's destructor hangs up whatever call has the slot by then.
ENDED = []
# When this process was late, and for how long, as a machine makes it that has too much to do.
STALLED = []


def watch():
    due = time.monotonic()
    while True:
        due += 0.02
        time.sleep(max(0, due - time.monotonic()))
        late = time.monotonic() - due
        if late > 0.02:
            STALLED.append((due, late))
            due += late


def parameters(code=0, headers=()):
    prm = pj.CallOpParam(True)
    prm.statusCode = code
    for name, value in headers:
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        prm.txOption.headers.append(header)
    return prm


def recorded(call):
    # Closing the recorder writes its last buffer.
    call.recorder = call.filler = None
    late = [late for at, late in STALLED if at >= call.since]
    tell("recorded", call=call.name, stalled=round(max(late, default=0), 3))


def do(account, command):
    what = command["do"]
    if what == "call":
        call = CALLS[command["call"]] = Call(account, command["call"])
        call.play = command.get("play", call.play)
        call.makeCall(command["to"], parameters(headers=command.get("headers", [])))
        return
    if what == "codecs":
        prefer(command["codecs"])
        return
    if what == "register":
        account.setRegistration(command["renew"])
        return
    call = CALLS.get(command["call"])
    if call is None:
        tell("no-call", call=command["call"], do=what)
    elif what == "answer":
        call.play = command.get("play", call.play)
        call.answer(parameters(command["code"]))
    elif what == "hangup":
        call.hangup(parameters(command.get("code", 0), command.get("headers", [])))
    elif what == "hold":
        call.setHold(parameters())
    elif what in ("resume", "reinvite", "renew"):
        prm = parameters()
        prm.opt.flag = {"resume": pj.PJSUA_CALL_UNHOLD, "renew": pj.PJSUA_CALL_REINIT_MEDIA}.get(what, 0)
        call.reinvite(prm)
    elif what == "refer":
        call.xfer(command["to"], parameters())
    elif what == "refer-replaces":
        prm = parameters()
        # PJSUA_XFER_NO_REQUIRE_REPLACES; without it PJSIP says `Require=replaces` beside Replaces.
        prm.options = 0 if command.get("required", True) else 1
        call.xferReplaces(CALLS[command["other"]], prm)
    elif what == "describe":
        tell("described", call=call.name, text=call.dump(True, ""))
    elif what == "dtmf":
        call.dialDtmf(command["digits"])
    elif what == "record":
        call.recorder = pj.AudioMediaRecorder()
        call.recorder.createRecorder(command["file"])
        call.audio.startTransmit(call.recorder)
        # Says nothing, so that time goes on in the file while the call has no stream.
        call.filler = pj.ToneGenerator()
        call.filler.createToneGenerator()
        call.filler.startTransmit(call.recorder)
        call.since = time.monotonic()
        tell("recording", call=call.name)
    elif what == "recorded":
        call.audio.stopTransmit(call.recorder)
        recorded(call)
    elif what == "stats":
        tell("stats", call=call.name, **call.stats())
    else:
        tell("no-command", do=what)


def prefer(names):
    """These codecs alone from now on, the first one first."""
    endpoint = pj.Endpoint.instance()
    for codec in endpoint.codecEnum2():
        wanted = [name for name in names if codec.codecId.startswith(name)]
        endpoint.codecSetPriority(codec.codecId, 200 - names.index(wanted[0]) if wanted else 0)


def account_config(transport):
    config = pj.AccountConfig()
    config.idUri = SETTINGS["id"]
    config.sipConfig.transportId = transport
    if SETTINGS.get("registrar"):
        config.regConfig.registrarUri = SETTINGS["registrar"]
        config.regConfig.timeoutSec = 300
        config.regConfig.retryIntervalSec = 0
    if SETTINGS.get("contact"):
        config.sipConfig.contactForced = SETTINGS["contact"]
    for name, word in SETTINGS.get("credentials", []):
        config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", name, 0, word))
    if SETTINGS.get("proxy"):
        config.sipConfig.proxies.append(SETTINGS["proxy"])
    media = config.mediaConfig
    media.transportConfig.boundAddress = SETTINGS["ip"]
    media.transportConfig.port = SETTINGS.get("rtp_port", 4000)
    media.transportConfig.portRange = 200
    media.srtpSecureSignaling = 0
    if SETTINGS.get("srtp"):
        media.srtpUse = pj.PJMEDIA_SRTP_MANDATORY
        media.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
        suite = pj.SrtpCrypto()
        suite.name = "AES_CM_128_HMAC_SHA1_80"
        media.srtpOpt.cryptos.append(suite)
    else:
        media.srtpUse = pj.PJMEDIA_SRTP_DISABLED
    media.rtcpMuxEnabled = bool(SETTINGS.get("mux"))
    media.lockCodecEnabled = bool(SETTINGS.get("lock_codec"))
    nat = config.natConfig
    nat.iceEnabled, nat.iceNoRtcp = bool(SETTINGS.get("ice")), bool(SETTINGS.get("mux"))
    nat.iceAlwaysUpdate = SETTINGS.get("ice") == "update"
    nat.contactRewriteUse, nat.viaRewriteUse, nat.sdpNatRewriteUse = 0, False, 0
    if SETTINGS.get("timer"):
        config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_ALWAYS
        config.callConfig.timerMinSESec = SETTINGS["timer"]
        config.callConfig.timerSessExpiresSec = SETTINGS["timer"]
    return config


def main():
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = SETTINGS.get("log", 0)
    config.uaConfig.userAgent = "lab-pjsip"
    config.uaConfig.maxCalls = SETTINGS.get("max_calls", 4)
    config.uaConfig.threadCnt, config.uaConfig.mainThreadOnly = 0, True
    if SETTINGS.get("nameserver"):
        config.uaConfig.nameserver.append(SETTINGS["nameserver"])
    config.medConfig.noVad, config.medConfig.ecTailLen = True, 0
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.port, transport.boundAddress, transport.publicAddress = SETTINGS["port"], SETTINGS["ip"], SETTINGS["ip"]
    kind = pj.PJSIP_TRANSPORT_UDP
    if SETTINGS.get("tls"):
        kind, tls = pj.PJSIP_TRANSPORT_TLS, transport.tlsConfig
        tls.certFile, tls.privKeyFile, tls.CaListFile = SETTINGS["tls"]
        tls.verifyServer = SETTINGS.get("verify_server", True)
        tls.verifyClient = tls.requireClientCert = True
        tls.method = pj.PJSIP_TLSV1_2_METHOD
    if SETTINGS.get("transport") == "tcp":
        kind = pj.PJSIP_TRANSPORT_TCP
    if SETTINGS.get("transport") == "tls":
        kind = pj.PJSIP_TRANSPORT_TLS
        transport.tlsConfig.CaListFile = SETTINGS["ca"]
        transport.tlsConfig.verifyServer = True
        transport.tlsConfig.method = pj.PJSIP_TLSV1_2_METHOD
    transport_id = endpoint.transportCreate(kind, transport)
    endpoint.audDevManager().setNullDev()
    endpoint.libStart()
    prefer(SETTINGS.get("codecs", ["PCMA", "PCMU"]))
    account = Account()
    account.create(account_config(transport_id))
    commands = queue.SimpleQueue()

    def read():
        for line in sys.stdin:
            commands.put(json.loads(line))
        commands.put({"do": "quit"})

    threading.Thread(target=read, daemon=True).start()
    threading.Thread(target=watch, daemon=True).start()
    tell("ready")
    while True:
        endpoint.libHandleEvents(10)
        while GONE:
            call = GONE.pop()
            if call.recorder:
                recorded(call)
            call.player = call.audio = None
            ENDED.append(call)
        while not commands.empty():
            command = commands.get()
            if command["do"] == "quit":
                # The library's tear-down in Python is not worth waiting for.
                os._exit(0)
            try:
                do(account, command)
            except pj.Error as error:
                tell("refused", call=command.get("call"), do=command["do"], why=error.info())
        for call in list(CALLS.values()):
            while call.due and call.due[0][0] <= time.monotonic():
                _, code = call.due.pop(0)
                try:
                    call.answer(parameters(code)) if code else call.hangup(parameters())
                except pj.Error as error:
                    # A CANCEL was faster.
                    tell("refused", call=call.name, do="answer", why=error.info())


main()
