-- Orthanc sends every MR study on once it is stable. Results that come back make the study stable again and all of it is
-- sent once more; zweitblick knows its own objects and what it has, so that nothing is read twice.

function OnStableStudy(studyId, tags, metadata)
  local found = ParseJson(RestApiGet('/studies/' .. studyId .. '/series'))
  for _, series in ipairs(found) do
    if series['MainDicomTags']['Modality'] == 'MR' then
      SendToModality(studyId, 'zweitblick')
      return
    end
  end
end
