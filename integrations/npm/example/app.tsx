import type {} from "qa-service-chat/react";
import "qa-service-chat/define";
import type { QaChat } from "qa-service-chat";
import { useRef, useState } from "react";
import { createRoot } from "react-dom/client";

declare const ENDPOINT: string;
declare const KEY: string;

function Help() {
  const chat = useRef<QaChat>(null);
  const [quote, setQuote] = useState("");
  return (
    <>
      <button onClick={() => void chat.current?.ask("Where does the cat sleep?")}>About the cat</button>
      <qa-chat
        ref={chat}
        endpoint={ENDPOINT}
        publishable-key={KEY}
        mode="inline"
        top-k={2}
        strings={{ send: "Go" }}
        onqa-answer={({ detail }) => setQuote(detail.answer.answer?.text ?? "Not in these documents.")}
      />
      <output>{quote}</output>
    </>
  );
}

createRoot(document.querySelector("main")!).render(<Help />);
