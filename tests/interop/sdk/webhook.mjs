// An application over HTTP, written as the vendor's documentation writes one: Express, WebhookResponse, and the check of the
// signature before anything else.
//
//   node webhook.mjs PACKAGE HOST PORT FOLDER LABEL SECRET API TOKEN
import { api, desk, faults, host, mobile, name, peer, port, secret, tell, token } from './common.mjs';

const express = peer('express');
const { WebhookResponse } = peer(name);
// The two packages have another name for the same.
const signed = (WebhookResponse.verifyJambonzSignature ?? WebhookResponse.verifySignature).bind(WebhookResponse)(secret);

// The newer package reads its schemas for every answer, for the first ones slowly.
for (let warm = 0; warm < 4; warm += 1) new WebhookResponse();
const app = express();
app.use(express.json());
app.use(signed);

function on(path, callback, answer) {
  app.post(path, (req, res) => {
    tell(path, { data: req.body, faults: faults(callback, req.body) });
    if (answer) res.status(200).json(answer(req.body));
    else res.sendStatus(200);
  });
}

on('/two', 'session-new', () => new WebhookResponse()
  .tag({ data: { order: 17 } })
  .dial({
    answerOnBridge: true,
    actionHook: '/two-done',
    timeLimit: 30,
    timeout: 20,
    anchorMedia: true,
    callerName: 'Reception',
    headers: { 'X-Order': '17' },
    tag: { order: 18 },
    target: [desk('two'), mobile('two')],
  }));
on('/two-done', 'dial', () => new WebhookResponse().pause({ length: 0.1 }).hangup());

on('/screened', 'session-new', () => new WebhookResponse().dial({
  answerOnBridge: true,
  actionHook: { url: '/screened-done', method: 'POST' },
  timeLimit: 1,
  confirmHook: '/accept',
  // The newer package takes no bare URL here.
  target: [{ ...desk('screened'), confirmHook: { url: '/decline' } }, mobile('screened')],
}));
// The one is let through once the other has been declined.
let declined;
const oneDeclined = new Promise((resolve) => { declined = resolve; });
app.post('/decline', (req, res) => {
  tell('/decline', { data: req.body, faults: faults('base', req.body) });
  res.on('finish', declined).status(200).json(new WebhookResponse().hangup());
});
app.post('/accept', async (req, res) => {
  tell('/accept', { data: req.body, faults: faults('base', req.body) });
  await oneDeclined;
  res.status(200).json(new WebhookResponse().pause({ length: 0.5 }));
});
on('/screened-done', 'dial', () => new WebhookResponse().redirect({ actionHook: '/last' }));
on('/last', 'base', () => new WebhookResponse().play({ url: 'tone.wav' }).hangup());

// "Press 1 to accept"; and keys while the two talk, upon which the vendor's REST client whispers and sends the call elsewhere.
on('/keys', 'session-new', () => new WebhookResponse().dial({
  answerOnBridge: true,
  actionHook: '/keys-done',
  confirmHook: '/press',
  dtmfCapture: { childCall: ['*2'] },
  dtmfHook: '/star',
  target: [desk('keys')],
}));
on('/press', 'base', () => new WebhookResponse()
  .gather({ input: ['digits'], numDigits: 1, timeout: 20, actionHook: '/pressed' })
  .hangup());
on('/pressed', 'gather', ({ digits }) => {
  const response = new WebhookResponse();
  return digits === '1' ? response.pause({ length: 0.1 }) : response.hangup();
});
on('/keys-done', 'dial');
on('/moved', 'session-redirect', () => new WebhookResponse().play({ url: 'tone.wav' }).hangup());

function calls(account) {
  if (name === '@jambonz/node-client') return peer(name)(account, token, { baseUrl: api }).calls;
  const { JambonzClient } = peer('@jambonz/sdk/client');
  return new JambonzClient({ baseUrl: api, accountSid: account, apiKey: token }).calls;
}

async function change({ account_sid: account, parent_call_sid: caller }) {
  await calls(account).update(caller, { whisper: { verb: 'play', url: 'tone.wav' } });
  await calls(account).update(caller, { call_hook: `http://${host}:${port}/moved` });
}

// The keys are pressed until they are heard, so they may come twice.
let changing = false;
app.post('/star', (req, res) => {
  tell('/star', { data: req.body, faults: faults('dial-dtmf', req.body) });
  res.sendStatus(200);
  if (changing) return;
  changing = true;
  change(req.body).catch((error) => tell('error', { data: { why: String(error) } }));
});

on('/refused', 'session-new', () => new WebhookResponse().config({ onHoldMusic: 'tone.wav' }).dial({ target: [desk('two')] }));
on('/declined', 'session-new', () => {
  const response = new WebhookResponse();
  const verb = { status: 486, reason: 'Busy Here' };
  return response.sip_decline ? response.sip_decline(verb) : response.sipDecline(verb);
});

on('/status', 'call-status');

app.use((error, req, res, next) => {
  tell('refused', { path: req.path, why: error.message });
  res.status(403).end();
});
app.listen(Number(port), host, () => tell('listening'));
