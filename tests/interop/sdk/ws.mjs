// An application over the WebSocket API, written as the vendor's documentation writes one.
//
//   node ws.mjs PACKAGE HOST PORT FOLDER LABEL
import http from 'node:http';
import { desk, faults, host, mobile, name, peer, port, tell } from './common.mjs';

const { createEndpoint } = peer(name);
const server = http.createServer();
const log = (...words) => tell('log', { words });
const makeService = createEndpoint({ server, logger: { info: log, error: log, debug: () => {} } });

function service(path, begin) {
  makeService({ path }).on('session:new', (session) => {
    const call = {};
    tell('session:new', { path, data: session.data, faults: faults('session-new', session.data) });
    session.on('call:status', (data) => {
      tell('call:status', { data, faults: faults('call-status', data) });
      // The destination has answered.
      if (data.parent_call_sid && data.call_status === 'in-progress') call.answered?.(data);
    });
    session.on('jambonz:error', (data) => tell('jambonz:error', { data }));
    session.on('close', (code) => tell('close', { path, code }));
    session.on('error', (error) => tell('error', { why: String(error) }));
    begin(session, call);
  });
}

function dialled(session, call, hook) {
  session.on(hook, (data) => {
    tell(hook, { data, faults: faults('dial', data) });
    session.pause({ length: 0.1 }).hangup().reply();
  });
  return { actionHook: hook, answerOnBridge: false, target: [desk(call)] };
}

// Plays, dials, and is told how that went.
service('/dial', (session) => {
  const dial = dialled(session, 'dial', '/dialled');
  session.play({ url: 'tone.wav' }).pause({ length: 0.2 }).dial(dial).send();
});

// Both phones are screened over the same connection, one question at a time: the one is let through long after the other
// has been declined.
service('/screened', (session) => {
  session.on('/decline', (data) => {
    tell('/decline', { data, faults: faults('base', data) });
    session.hangup().reply();
  });
  session.on('/accept', (data) => {
    tell('/accept', { data, faults: faults('base', data) });
    session.pause({ length: 3 }).reply();
  });
  const dial = dialled(session, 'screened', '/screened-done');
  const target = [{ ...desk('screened'), confirmHook: { url: '/decline' } }, mobile('screened')];
  session.dial({ ...dial, answerOnBridge: true, timeLimit: 1, confirmHook: '/accept', target }).send();
});

// Other verbs while the two talk.
service('/verbs', (session, call) => {
  call.answered = () => session.pause({ length: 0.1 }).hangup().send();
  session.dial(dialled(session, 'verbs', '/verbs-dialled')).send();
});

// Another hook while the two talk.
service('/hook', (session, call) => {
  call.answered = () => session.injectCommand('redirect', { call_hook: '/elsewhere' });
  session.on('/elsewhere', (data) => {
    tell('/elsewhere', { data, faults: faults('session-redirect', data) });
    session.play({ url: 'tone.wav' }).hangup().reply();
  });
  session.dial(dialled(session, 'hook', '/hook-dialled')).send();
});

// The callee goes on with verbs of its own, over a connection of its own, and the caller with others.
service('/parted', (session, call) => {
  call.answered = () => session.injectCommand('redirect', { call_hook: '/parent', child_call_hook: '/child' });
  session.on('/child', (data) => {
    tell('/child', { data, faults: faults('session-redirect', data) });
    session.pause({ length: 0.5 }).hangup().reply();
  });
  session.on('/parent', (data) => {
    tell('/parent', { data, faults: faults('session-redirect', data) });
    session.play({ url: 'tone.wav' }).hangup().reply();
  });
  session.dial({ target: [desk('parted')] }).send();
});
service('/parted/adulting', (session) => session.reply());

// What the package can put into a call that lasts: a whisper, silence, customer data, keys, the end.
service('/commands', (session, call) => {
  call.answered = (data) => {
    session.injectCommand('whisper', { verb: 'play', url: 'tone.wav' });
    session.injectCommand('mute:status', { mute_status: 'mute' });
    session.injectCommand('mute:status', { mute_status: 'unmute' }, data.call_sid);
    session.injectCommand('tag', { order: 19 });
    session.injectCommand('dtmf', { digit: '5', duration: 200 }, data.call_sid);
    setTimeout(() => session.injectCommand('call:status', { call_status: 'completed' }), 600);
  };
  session.dial({ target: [desk('commands')] }).send();
});

// Every step of the verbs, by the ids that they were given.
service('/events', (session) => {
  session.on('verb:status', (data) => tell('verb:status', { data, faults: faults('verb-status', data) }));
  session
    .config({ notifyEvents: true })
    .play({ id: 'hello', url: 'tone.wav' })
    .pause({ id: 'wait', length: 0.1 })
    .hangup()
    .send();
});

server.listen(Number(port), host, () => tell('listening'));
